"""The tool cache: who gets a kept answer, who does not, and that equal calls at the same time are one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from pydantic import BaseModel

from harness.errors import BadBundle
from harness.store.database import Database
from harness.tool_cache import DROPPED_AT_ONCE, ToolCache
from harness.tools import Tool, ToolContext, ToolProblem
from tests.kit.processes import until

NAME = "mcp__papers__find"
HARD = "NUL \x00, half a pair \ud83d, é"


class Given(BaseModel):
    """A tool's input."""

    query: str
    limit: int = 8


async def find(context: ToolContext, given: Given) -> str:
    raise AssertionError("the cache runs what it is handed")


def tool(**given: Any) -> Tool:
    """A tool whose answers are kept for an hour."""
    fields: dict[str, Any] = {"replay": "read_only", "cache_s": 3600.0}
    return Tool("find", "Finds papers.", Given, find, **(fields | given))


@dataclass
class Desk:
    """A session's cache, and how often its tool ran; `answers` are what it says, one after another."""

    database: Database
    cache: ToolCache = field(default_factory=ToolCache)
    answers: list[Callable[[], Awaitable[str]]] = field(default_factory=list)
    ran: int = 0

    async def call(
        self, given: Given, id: str | None = "toolu", *, tenant: str = "t", name: str = NAME, **of_tool: Any
    ) -> str:
        """Make a call."""
        context = ToolContext("s", tenant, "r", self.database)

        async def run() -> str:
            self.ran += 1
            number = self.ran
            if self.answers:
                return await self.answers.pop(0)()
            return f"answer {number}"

        return await self.cache.answer(name, tool(**of_tool), context, given, run, id)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


async def failing() -> str:
    await asyncio.sleep(0.05)
    raise ToolProblem("No such paper.")


async def test_the_same_input_is_answered_once(desk: Desk) -> None:
    """A default that is said is the same as one left out; only the second call is a hit."""
    assert await desk.call(Given(query="tides"), "toolu_1") == "answer 1"
    assert desk.cache.hits == set()
    assert await desk.call(Given(query="tides", limit=8), "toolu_2") == "answer 1"
    assert (desk.ran, desk.cache.hits) == (1, {"toolu_2"})


async def test_another_session_has_it_too(desk: Desk) -> None:
    """What is kept is in Postgres, not in a process."""
    await desk.call(Given(query="tides"))
    other = Desk(desk.database)
    assert await other.call(Given(query="tides")) == "answer 1"
    assert other.ran == 0


@pytest.mark.parametrize(
    "change",
    [
        {"given": Given(query="winds")},
        {"given": Given(query="tides", limit=9)},
        {"tenant": "another"},
        {"name": "mcp__letters__find"},
        {"description": "Finds the best papers."},
    ],
    ids=["query", "limit", "tenant", "tool", "version"],
)
async def test_whatever_is_not_the_same_call_is_run(desk: Desk, change: dict[str, Any]) -> None:
    """Tenant, tool, its version and its input all belong to the call."""
    await desk.call(Given(query="tides"))
    changed = dict(change)
    given = changed.pop("given", Given(query="tides"))
    if "description" in changed:
        context = ToolContext("s", "t", "r", desk.database)
        newer = replace(tool(), **changed)

        async def run() -> str:
            return "newer"

        assert await desk.cache.answer(NAME, newer, context, given, run, "toolu") == "newer"
    else:
        assert await desk.call(given, **changed) == "answer 2"
    assert desk.cache.hits == set()


async def test_an_answer_ends_with_its_time(desk: Desk) -> None:
    """After its time to live the tool is run again, and the new answer is kept."""
    await desk.call(Given(query="tides"), cache_s=0.05)
    await asyncio.sleep(0.1)
    assert await desk.call(Given(query="tides")) == "answer 2"
    assert await desk.call(Given(query="tides")) == "answer 2"
    assert desk.ran == 2


async def test_failures_are_not_kept(desk: Desk) -> None:
    """The next call is run."""
    desk.answers = [failing]
    with pytest.raises(ToolProblem, match="No such paper"):
        await desk.call(Given(query="tides"))
    assert await desk.call(Given(query="tides")) == "answer 2"
    assert desk.cache.hits == set()


async def test_equal_calls_at_the_same_time_run_once(desk: Desk) -> None:
    """The others wait for the first one's answer, and are hits."""
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "slow"

    desk.answers = [slow]
    calls = [asyncio.create_task(desk.call(Given(query="tides"), f"toolu_{n}")) for n in range(5)]
    await until(lambda: desk.ran, "the first call to run")
    other = await desk.call(Given(query="winds"), "toolu_other")
    assert other == "answer 2", "a call with another input does not wait"
    go.set()
    assert await asyncio.gather(*calls) == ["slow"] * 5
    assert (desk.ran, desk.cache.hits) == (2, {"toolu_1", "toolu_2", "toolu_3", "toolu_4"})


async def test_when_the_first_of_equal_calls_fails_each_has_its_own_try(desk: Desk) -> None:
    """Nobody is told of another call's failure."""
    desk.answers = [failing, failing]
    calls = [desk.call(Given(query="tides"), f"toolu_{n}") for n in range(4)]
    said = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(each, ToolProblem) for each in said] == [True, True, False, False]
    assert (desk.ran, desk.cache.hits) == (4, set())
    assert await desk.call(Given(query="tides")) in said


async def test_when_the_first_of_equal_calls_is_cancelled_the_others_go_on(desk: Desk) -> None:
    """An agent run that is stopped takes nobody along."""

    async def never() -> str:
        await asyncio.Event().wait()
        raise AssertionError("never")

    desk.answers = [never]
    first = asyncio.create_task(desk.call(Given(query="tides")))
    second = asyncio.create_task(desk.call(Given(query="tides")))
    await until(lambda: desk.ran, "the first call to run")
    first.cancel()
    assert await second == "answer 2"
    assert first.cancelled()


async def test_a_waiting_call_can_be_cancelled_alone(desk: Desk) -> None:
    """The call it waits for is not touched."""
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "slow"

    desk.answers = [slow]
    first = asyncio.create_task(desk.call(Given(query="tides")))
    second = asyncio.create_task(desk.call(Given(query="tides")))
    await until(lambda: desk.ran, "the first call to run")
    second.cancel()
    await asyncio.wait({second})
    go.set()
    assert await first == "slow"


async def test_any_answer_can_be_kept(desk: Desk) -> None:
    """Also one with characters that Postgres' text cannot hold."""

    async def hard() -> str:
        return HARD

    desk.answers = [hard]
    assert [await desk.call(Given(query=HARD)) for _ in range(2)] == [HARD, HARD]
    assert desk.ran == 1


async def test_expired_answers_are_deleted_by_writes(desk: Desk, database: Database) -> None:
    """A write takes away a bounded number of them, and no other."""
    for n in range(DROPPED_AT_ONCE + 5):
        await desk.call(Given(query=f"old {n}"), cache_s=3600)
    await database.run("update tool_answer set kept_until = clock_timestamp()")
    await desk.call(Given(query="new"))
    assert await rows(database) == 6
    await desk.call(Given(query="newer"))
    assert await rows(database) == 2


async def rows(database: Database) -> int:
    """How many answers are stored."""
    row = await database.one("select count(*) as rows from tool_answer")
    assert row is not None
    return int(row["rows"])


async def test_without_the_store_the_tool_is_run(
    desk: Desk, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """A cache that is away is no reason to fail; it is logged."""
    await database.run("drop table tool_answer")
    with caplog.at_level(logging.WARNING):
        assert await desk.call(Given(query="tides")) == "answer 1"
        assert await desk.call(Given(query="tides")) == "answer 2"
    assert "cannot be read" in caplog.text
    assert "could not be kept" in caplog.text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"replay": "unsafe"}, "is unsafe"),
        ({"replay": "idempotent"}, "is idempotent"),
        ({"cache_s": 0.0}, "seconds above zero"),
        ({"cache_s": -1.0}, "seconds above zero"),
        ({"cache_s": float("inf")}, "seconds above zero"),
        ({"cache_s": float("nan")}, "seconds above zero"),
    ],
)
def test_only_a_tool_that_only_reads_can_be_cached(given: dict[str, Any], says: str) -> None:
    """Its definition is refused, in a sentence that names it."""
    with pytest.raises(BadBundle, match=rf"The tool 'find' .*{says}"):
        tool(**given)
