"""How calls end, and whom that concerns: a request, the key and its account, or the service."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Desk, desk_with_notes
from tests.e2e.scripts import REPORT, stage_of
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process

ALONE = ("run", "How?", "--sources", "notes.md", "--flow", "single")
CREW = ("run", "How?", "--sources", "notes.md", "--flow", "research")


@contextmanager
def served(home: Path, dsn: str, script: str, **given: Any) -> Iterator[tuple[Desk, ScriptedProcess]]:
    """A desk before a service that plays a script of `ending_scripts`."""
    with (
        scripted_process(f"tests.e2e.ending_scripts:{script}", home / "calls.jsonl", given=given) as api,
        desk_with_notes(home, api.base_url, dsn) as desk,
    ):
        yield desk, api


def answered(api: ScriptedProcess) -> Counter[str]:
    """How often each step was answered."""
    return Counter(stage_of(call.request) for call in api.calls().completed())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "Your credit balance is too low to access the Anthropic API."),
        (400, "You have reached your specified API usage limits."),
        (401, "invalid x-api-key"),
        (403, "Your key may not do this."),
        (404, "model: claude-sonnet-5-5"),
    ],
)
def test_what_concerns_the_account_suspends_all_and_loses_nothing(
    home: Path, dsn: str, status: int, said: str
) -> None:
    """Each researcher stops where it stands; once the account is well all go on, and no step is repeated."""
    well = home / "well"
    with served(home, dsn, "refusing", well=str(well), status=status, said=said) as (desk, api):
        code, finished = desk.run(*CREW)
        assert (code, finished["status"]) == (3, "suspended")
        assert said in finished["problem"]
        assert api.base_url in finished["problem"]
        refusals = [call for call in api.calls().messages() if call.status == status]
        assert 1 <= len(refusals) <= 3, "one for each researcher at most"
        assert {run["status"] for run in finished["agent_runs"]} <= {"suspended", "ready"}
        well.touch()
        code, finished = desk.run("resume", finished["session_id"])
        assert (code, finished["report"]) == (0, REPORT)
        assert set(answered(api).values()) == {1}


def test_an_outage_suspends_the_session_after_five_attempts(home: Path, dsn: str) -> None:
    """Of one researcher; nobody else's work is lost, and nothing is asked twice."""
    well = home / "well"
    given = {"well": str(well), "status": 529, "said": "Overloaded.", "only": "winds"}
    with served(home, dsn, "refusing", **given) as (desk, api):
        code, finished = desk.run(*CREW)
        assert (code, finished["status"]) == (3, "suspended")
        assert "gave no answer in 5 attempts (529: Overloaded.)" in finished["problem"]
        assert len([call for call in api.calls().messages() if call.status == 529]) == 5
        well.touch()
        code, finished = desk.run("resume", finished["session_id"])
        assert (code, finished["report"]) == (0, REPORT)
        assert set(answered(api).values()) == {1}


def test_a_refused_request_fails_its_task_alone(home: Path, dsn: str) -> None:
    """Its siblings' results are there. The CLI sends it again without its newest headers, for nothing."""
    given = {"well": str(home / "well"), "status": 400, "said": "That is no request.", "only": "winds"}
    with served(home, dsn, "refusing", **given) as (desk, api):
        code, finished = desk.run(*CREW)
        assert code == 0
        assert Counter(run["status"] for run in finished["agent_runs"]) == {"done": 6, "failed": 1}
        assert len([call for call in api.calls().messages() if call.status == 400]) <= 6
        assert set(answered(api).values()) == {1}


@pytest.mark.parametrize(
    ("reason", "said", "calls", "words"),
    [
        ("refusal", "", 1, "declined to answer"),
        ("refusal", "I would rather not ", 1, "declined to answer"),
        ("model_context_window_exceeded", "I ran out ", 1, "filled the model's context"),
        ("max_tokens", "Part ", 4, "cut off"),
        ("max_tokens", "", 1, "cut off"),
    ],
)
def test_an_ending_that_would_come_again_is_final(
    home: Path, dsn: str, reason: str, said: str, calls: int, words: str
) -> None:
    """It is not asked for again; what there is of an answer is shown beside the problem."""
    with served(home, dsn, "stopping", reason=reason, said=said) as (desk, api):
        code, finished = desk.run(*ALONE)
        assert (code, finished["status"]) == (1, "failed")
        assert words in finished["problem"]
        assert len(api.calls().messages()) == calls
        if reason == "max_tokens" and said:
            assert finished["report"] == "Part 0. Part 1. Part 2. Part 3. "


def test_a_worker_does_not_pay_for_the_same_refusal_again(home: Path, dsn: str) -> None:
    """The session has ended; no take-up follows."""
    with served(home, dsn, "stopping", reason="refusal") as (desk, api):
        code, submitted = desk.run("submit", *ALONE[1:])
        assert code == 0
        assert desk.start("worker", "--until-empty").wait() == 0
        _, shown = desk.run("show", submitted["session_id"])
        assert shown["status"] == "failed"
        assert len(api.calls().messages()) == 1


def test_an_answer_in_two_messages_is_one(home: Path, dsn: str) -> None:
    """Without a gap, and nothing of it is lost."""
    with served(home, dsn, "in_parts") as (desk, api):
        code, finished = desk.run(*ALONE)
        assert (code, finished["report"]) == (0, "Part 1, part 2.")
        assert len(api.calls().messages()) == 2


def test_a_kill_between_two_parts_loses_none(home: Path, dsn: str) -> None:
    """Nor does it ask for the first again."""
    go = home / "go"
    with served(home, dsn, "in_parts", go=str(go)) as (desk, api):
        command = desk.start(*ALONE)
        until_sync(lambda: len(api.calls().messages()) == 2, "the second part to be asked for")
        command.kill(clis_too=True)
        go.touch()
        code, finished = desk.run("resume", command.session_id or "")
        assert (code, finished["report"]) == (0, "Part 1, part 2.")
        assert [call.outcome for call in api.calls().messages()].count("completed") == 2


def test_an_answer_cut_off_within_a_call_is_booked_and_gone_on_from(home: Path, dsn: str) -> None:
    """The call does not run, and what was said is neither lost nor paid again."""
    with served(home, dsn, "cut_in_a_call") as (desk, api):
        code, finished = desk.run(*ALONE)
        assert (code, finished["report"]) == (0, "Without it.")
        assert (len(api.calls().messages()), finished["usage"]["unattributed_calls"]) == (2, 0)


def test_a_pause_is_no_answer(home: Path, dsn: str) -> None:
    """The agent goes on in another process."""
    with served(home, dsn, "pausing") as (desk, api):
        code, finished = desk.run(*ALONE)
        assert (code, finished["report"]) == (0, "Wait. Done.")
        assert len(api.calls().messages()) == 2


def test_a_dead_endpoint_is_named_after_five_attempts(home: Path, dsn: str) -> None:
    """With its address and the reason, not the gateway's own."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"http://127.0.0.1:{held.getsockname()[1]}"
        with desk_with_notes(home, place, dsn) as desk:
            code, finished = desk.run(*CREW)
            assert (code, finished["status"]) == (3, "suspended")
            told = f"The model service at {place} could not be reached: Connection refused (5 attempts)."
            assert finished["problem"] == told
            assert finished["usage"]["attempts"] == 5


def test_a_bad_key_is_named_at_once(home: Path, dsn: str) -> None:
    """One call, with the service's words and the remedy."""
    with served(home, dsn, "no_key") as (desk, api):
        code, finished = desk.run(*CREW)
        assert code == 3
        told = f"The model service at {api.base_url} does not accept the key (401: invalid x-api-key); "
        assert finished["problem"] == told + "set ANTHROPIC_API_KEY to a key that it accepts."
        assert len(api.calls().messages()) == 1


def test_a_base_url_with_its_version_is_understood(home: Path, dsn: str) -> None:
    """As guides to other services have it; any other path is named as the address that it is."""
    with served(home, dsn, "in_parts") as (desk, api):
        code, finished = desk.run(*ALONE, ANTHROPIC_BASE_URL=f"{api.base_url}/v1/")
        assert (code, finished["report"]) == (0, "Part 1, part 2.")
        place = f"{api.base_url}/else/where"
        code, finished = desk.run(*ALONE, ANTHROPIC_BASE_URL=place)
        assert code == 3
        assert finished["problem"].startswith(f"There is no Messages API at {place} (404: ")
        assert len(api.calls().others()) == 1
