"""Reads a session's trace and scores back from a Langfuse, and says where it shows what was not sent.

found = await read(settings, trace_id)
assert differences(found, sheet.ended(), scores, environment) == []

What was sent is told from the spans themselves: whatever they say, Langfuse is to show it. Metadata are left
out, of which Langfuse adds its own and shortens the others.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

from harness.export.address import RELEASE
from harness.export.attributes import attributes
from harness.export.generation import OBSERVATION
from harness.settings import Settings
from harness.store.spans import Ended
from harness.tracing.scores import Score

if TYPE_CHECKING:
    from langfuse.api.commons.types.observation_v2 import ObservationV2
    from langfuse.api.scores.types.score_v3 import ScoreV3

FIELDS = "core,basic,io,model,usage,trace_context"
_PAGE = 10


@dataclass(frozen=True)
class Found:
    """What Langfuse has. `trace` is None where its server does not serve traces, but observations only."""

    observations: Sequence[ObservationV2]
    scores: Sequence[ScoreV3]
    trace: Mapping[str, Any] | None


async def read(settings: Settings, trace_id: str) -> Found:
    """Read all that belongs to a trace by the public API, with Langfuse's own client."""
    from langfuse.api.client import AsyncLangfuseAPI

    keys = settings.langfuse
    assert keys.public_key
    assert keys.secret_key
    auth = keys.public_key, keys.secret_key.get_secret_value()
    observations: list[ObservationV2] = []
    scores: list[ScoreV3] = []
    async with httpx.AsyncClient(timeout=30) as http:
        api = AsyncLangfuseAPI(base_url=keys.base_url, username=auth[0], password=auth[1], httpx_client=http)
        cursor: str | None = None
        while True:
            page = await api.observations.get_many(
                trace_id=trace_id, fields=FIELDS, limit=_PAGE, cursor=cursor
            )
            observations += page.data
            if not (cursor := page.meta.cursor):
                break
        while True:
            given = await api.scores.get_many(
                trace_id=trace_id, fields="details,subject", limit=_PAGE, cursor=cursor
            )
            scores += given.data
            if not (cursor := given.meta.cursor):
                break
        answer = await http.get(f"{keys.base_url}/api/public/traces/{trace_id}", auth=auth)
    served = answer.status_code != 404 or "events_only" not in answer.text
    trace = answer.json() if answer.is_success else {} if served else None
    return Found(observations, scores, trace)


def differences(found: Found, sent: Sequence[Ended], scores: Sequence[Score], environment: str) -> list[str]:
    """Say what is missing, too much or other than it was sent, one in a line; empty when all is right."""
    return [
        *_observations(found, sent, environment),
        *_trace(found, sent, environment),
        *_scores(found, scores, environment),
    ]


def _observations(found: Found, sent: Sequence[Ended], environment: str) -> Iterator[str]:
    shown = {each.id: each for each in found.observations}
    counted = Counter(each.id for each in found.observations)
    yield from (f"observation {each} is there {count} times" for each, count in counted.items() if count > 1)
    expected = {ended.span.span_id: ended for ended in sent}
    yield from (f"observation {each} was never sent" for each in shown.keys() - expected.keys())
    for span_id, ended in expected.items():
        if span_id not in shown:
            yield f"{ended.span.name} {span_id} is missing"
            continue
        there = _shown(shown[span_id])
        for name, value in _expected(ended, environment).items():
            if not _same(there[name], value):
                yield f"{ended.span.name} {span_id}: {name} is {there[name]!r}, sent was {value!r}"


def _expected(ended: Ended, environment: str) -> dict[str, Any]:
    span, about = ended.span, attributes(ended, environment, RELEASE)
    usage, cost = (about.get(f"{OBSERVATION}.{name}", "{}") for name in ("usage_details", "cost_details"))
    return {
        "trace": span.trace_id,
        "parent": span.parent_span_id,
        "root": span.parent_span_id is None,
        # Langfuse calls a tool's row by its tool.
        "name": about.get("gen_ai.tool.name", span.name),
        "type": str(about[f"{OBSERVATION}.type"]).upper(),
        "start": _ms(span.started_at),
        "end": _ms(span.ended_at),
        "level": about.get(f"{OBSERVATION}.level", "DEFAULT"),
        "status message": about.get(f"{OBSERVATION}.status_message"),
        "input": about.get(f"{OBSERVATION}.input"),
        "output": about.get(f"{OBSERVATION}.output"),
        "model": about.get(f"{OBSERVATION}.model.name"),
        "usage": {name: count for name, count in json.loads(str(usage)).items() if count},
        "cost": json.loads(str(cost)).get("total") or 0,
        "user": about["langfuse.user.id"],
        "session": about["langfuse.session.id"],
        "environment": environment,
        "release": RELEASE,
        "trace name": about["langfuse.trace.name"],
        "tags": _tags(about),
    }


def _shown(there: ObservationV2) -> dict[str, Any]:
    usage = {name: count for name, count in (there.usage_details or {}).items() if count and name != "total"}
    return {
        "trace": there.trace_id,
        "parent": there.parent_observation_id,
        "root": there.is_root_observation,
        "name": there.name,
        "type": there.type,
        "start": _ms(there.start_time),
        "end": _ms(there.end_time),
        "level": there.level.value if there.level else None,
        "status message": there.status_message,
        "input": there.input,
        "output": there.output,
        "model": there.model,
        "usage": usage,
        "cost": there.total_cost or 0,
        "user": there.user_id,
        "session": there.session_id,
        "environment": there.environment,
        "release": there.release,
        "trace name": there.trace_name,
        "tags": sorted(there.tags or []),
    }


def _trace(found: Found, sent: Sequence[Ended], environment: str) -> Iterator[str]:
    """The trace is its newest root; what it cost is what its generations cost."""
    if found.trace is None:
        return
    roots = [ended for ended in sent if ended.span.parent_span_id is None]
    newest = _expected(max(roots, key=lambda ended: ended.span.started_at), environment)
    expected = {
        "name": newest["trace name"],
        "input": newest["input"],
        "output": newest["output"],
        "userId": newest["user"],
        "sessionId": newest["session"],
        "environment": environment,
        "release": RELEASE,
        "tags": newest["tags"],
        "totalCost": sum(_expected(ended, environment)["cost"] for ended in sent),
    }
    for name, value in expected.items():
        there = found.trace.get(name)
        if not _same(sorted(there) if name == "tags" and there else there, value):
            yield f"trace: {name} is {there!r}, sent was {value!r}"


def _scores(found: Found, scores: Sequence[Score], environment: str) -> Iterator[str]:
    shown = {each.id: each for each in found.scores}
    yield from (f"score {each} was never sent" for each in shown.keys() - {score.id for score in scores})
    for score in scores:
        if score.id not in shown:
            yield f"score {score.name} is missing"
            continue
        there = shown[score.id]
        subject = there.subject
        seen = (there.name, there.value, there.data_type, there.comment or None, there.environment)
        kind = "CATEGORICAL" if isinstance(score.value, str) else "NUMERIC"
        given = (score.name, score.value, kind, score.comment, environment)
        about = (subject.kind, subject.id) if subject else None
        of = ("observation", score.span_id) if score.span_id else ("trace", _trace_of(score))
        when, at = _ms(there.timestamp), _ms(score.given_at)
        if (seen, about, when) != (given, of, at):
            yield f"score {score.name} is {(*seen, about, when)}, sent was {(*given, of, at)}"


def _trace_of(score: Score) -> str:
    from harness.tracing.span import trace_id

    return trace_id(score.session_id)


def _tags(about: Mapping[str, object]) -> list[str]:
    tags = about.get("langfuse.trace.tags", [])
    return sorted(tags) if isinstance(tags, Iterable) else []


def _ms(at: datetime | None) -> str | None:
    """A time as exactly as Langfuse's answers have it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None


def _same(there: object, sent: object) -> bool:
    """Whether a value is shown as it was sent; JSON may come back as text or not, and a float nearly so."""
    if isinstance(there, float) or isinstance(sent, float):
        return isinstance(there, int | float) and isinstance(sent, int | float) and abs(there - sent) < 1e-9
    return _plain(there) == _plain(sent)


def _plain(value: object) -> object:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value or None
