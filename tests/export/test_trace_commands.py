"""`harness trace` as people run it: processes, exit codes and words."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from harness.store.database import Database
from harness.store.spans import Outbox, standing
from tests.checkout import ROOT
from tests.cli.processes import document, run_process
from tests.kit.otlp_receiver import OTLP_PATH, SECRET_KEY, OtlpReceiver
from tests.kit.spans import keep, research


async def command(*args: str, dsn: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(lambda: run_process(*args, dsn=dsn, cwd=ROOT, **extra))


async def test_flush_sends_what_waits(dsn: str, database: Database, receiver: OtlpReceiver) -> None:
    """First one session's, then the tenant's; the status agrees before and after."""
    one, other, foreign = research(), research(), research(tenant="other")
    await keep(database, one, other, foreign)
    env = receiver.environment()
    before = await command("trace", "status", dsn=dsn, **env)
    assert before.returncode == 0
    assert f"Langfuse at {receiver.base_url}/api/public/otel/v1/traces" in before.stdout
    assert "Waiting:  30, the longest since" in before.stdout
    assert "harness trace flush" in before.stdout

    mine = await command("trace", "flush", one.session_id[:8], dsn=dsn, **env)
    assert (mine.returncode, mine.stdout, mine.stderr) == (0, "15 spans sent, 0 left.\n", "")
    rest = await command("trace", "flush", "--json", dsn=dsn, **env)
    assert json.loads(rest.stdout) == {
        "receiver": f"{receiver.base_url}/api/public/otel/v1/traces",
        **{"sent": 15, "refused": 0, "left": 0, "problem": None},
        **{"scores_sent": 0, "scores_refused": 0, "scores_left": 0, "scores_problem": None},
    }
    assert receiver.violations == []
    after = await document("trace", "status", one.session_id, dsn=dsn)
    assert (after["receiver"], after["sent"], after["waiting"], after["oldest"]) == (None, 15, 0, None)
    assert (await standing(database, "other")).waiting == 15


async def test_flush_says_what_is_left(dsn: str, database: Database, receiver: OtlpReceiver) -> None:
    """A receiver that is away or that refuses the keys: exit code 3, the reason once, nothing lost."""
    await keep(database, research())
    receiver.mode = "503"
    away = await command("trace", "flush", dsn=dsn, **receiver.environment())
    assert (away.returncode, away.stdout) == (3, "0 spans sent, 15 left.\n")
    assert "answered 503" in away.stderr
    assert away.stderr.count("\n") == 1
    receiver.mode = "ok"
    wrong = {**receiver.environment(), "LANGFUSE_SECRET_KEY": "sk-lf-wrong"}
    refused = await command("trace", "flush", dsn=dsn, **wrong)
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "correct its keys" in refused.stderr
    assert "sk-lf-wrong" not in refused.stderr
    await Outbox(database, "default").take(4)
    held = await command("trace", "flush", dsn=dsn, **receiver.environment())
    assert (held.returncode, held.stdout.splitlines()[0]) == (3, "11 spans sent, 4 left.")
    assert "4 of those are with another exporter" in held.stdout


async def test_status_says_why_spans_were_refused(
    dsn: str, database: Database, receiver: OtlpReceiver
) -> None:
    """A person sees how many, and what the receiver said."""
    await keep(database, research())
    receiver.poison = {"wait"}
    sent = await command("trace", "flush", dsn=dsn, **receiver.environment())
    assert (sent.returncode, sent.stdout) == (0, "14 spans sent, 1 refused, 0 left.\n")
    told = await command("trace", "status", dsn=dsn)
    assert told.stdout.startswith("Receiver: none is set\nSent:     14\n")
    assert "Refused:  1\n  1: Langfuse at" in told.stdout
    (refusal,) = (await document("trace", "status", dsn=dsn))["refusals"]
    assert refusal["spans"] == 1
    assert "scripted 400" in refusal["problem"]


async def test_export_writes_a_session_without_any_receiver(home: Path, dsn: str, database: Database) -> None:
    """OTLP/JSON on stdout or in a file; open spans are left out, and nothing counts as sent."""
    sheet = research()
    sheet.add("tool", "execute_tool x", status="open")
    await keep(database, sheet)
    told = await document("trace", "export", sheet.session_id[:8], dsn=dsn)
    (spans,) = (scope["spans"] for scope in told["resourceSpans"][0]["scopeSpans"])
    assert [span["spanId"] for span in spans] == [span.span_id for span in sheet.spans[:-1]]
    file = home / "trace.json"
    to_file = ("trace", "export", sheet.session_id, "--json", "--out", str(file))
    written = await command(*to_file, dsn=dsn)
    assert (written.returncode, written.stdout, written.stderr) == (0, "", f"15 spans in {file}.\n")
    assert json.loads(file.read_text()) == told
    assert (await command(*to_file, dsn=dsn)).returncode == 2
    assert (await standing(database, "default")).waiting == 15


async def test_export_posts_to_any_receiver(dsn: str, database: Database, receiver: OtlpReceiver) -> None:
    """By its URL alone, with the headers of the environment, and never with Langfuse's keys."""
    sheet = research()
    await keep(database, sheet)
    env = {**receiver.environment(), "OTEL_EXPORTER_OTLP_HEADERS": "x-team=sea%20birds"}
    sent = await command("trace", "export", sheet.session_id, "--otlp", receiver.base_url, dsn=dsn, **env)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert sent.stdout == f"15 spans sent to {receiver.base_url}{OTLP_PATH}.\n"
    (post,) = receiver.posts
    assert post.headers["x-team"] == "sea birds"
    assert "authorization" not in post.headers
    assert SECRET_KEY.encode() not in receiver.raw()
    assert receiver.missing_parents() == set()
    assert (await standing(database, "default")).waiting == 15
    receiver.mode, receiver.spans = "partial", []
    partly = await command("trace", "export", sheet.session_id, "--otlp", receiver.base_url, dsn=dsn)
    assert (partly.returncode, partly.stdout[:13]) == (0, "14 spans sent")
    assert partly.stderr == "1 span refused by the receiver: One span is too old.\n"
    receiver.mode = "500"
    failed = await command("trace", "export", sheet.session_id, "--otlp", receiver.base_url, dsn=dsn)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "answered 500" in failed.stderr


async def test_another_receiver_takes_langfuses_place(
    dsn: str, database: Database, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """`tracing.otlp_url` wins over Langfuse's keys, and gets its own headers only."""
    await keep(database, research())
    (tmp_path / "harness.toml").write_text(f'[tracing]\notlp_url = "{receiver.base_url}/v1/traces"\n')
    env = {**receiver.environment(), "OTEL_EXPORTER_OTLP_HEADERS": "api-key=abc"}
    sent = await command("trace", "flush", "--project", str(tmp_path), dsn=dsn, **env)
    assert (sent.returncode, sent.stdout) == (0, "15 spans sent, 0 left.\n")
    (post,) = receiver.posts
    assert (post.path, post.headers["api-key"]) == (OTLP_PATH, "abc")
    assert "authorization" not in post.headers
