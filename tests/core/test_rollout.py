"""Rollouts, decided from numbers: who gets the new version, what is in force, when it has failed."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.rollout import Bounds, Rollout, Tally, arm, choose, crossed, in_force, share
from tests.kit.seeds import run_seed

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

IDS = st.uuids().map(str)
PERCENTS = st.floats(0, 100)
NAMES = st.sampled_from(["a", "b", "c"])


def rollout(**given: Any) -> Rollout:
    """A running rollout from version A to B of the bundle x for all."""
    fields: dict[str, Any] = {
        "id": "r1",
        "kind": "bundle",
        "name": "x",
        "old_version": "A",
        "new_version": "B",
        "percent": 100.0,
        "tenants": None,
        "bounds": Bounds(),
        "status": "running",
        "reason": None,
        "started_at": BEGAN,
        "ended_at": None,
    }
    return Rollout(**(fields | given))


def promoted(old: str, new: str, day: int, **given: Any) -> Rollout:
    """A rollout that was promoted on a day."""
    made: dict[str, Any] = {"id": f"{old}{new}{day}", "status": "promoted"}
    return rollout(old_version=old, new_version=new, ended_at=BEGAN + timedelta(days=day), **(made | given))


@given(IDS, IDS, PERCENTS, PERCENTS)
def test_who_has_the_new_version_keeps_it_when_more_get_it(
    rollout_id: str, session_id: str, one: float, other: float
) -> None:
    """The same session and rollout give the same arm, and a larger percentage takes nobody out."""
    less, more = sorted((one, other))
    arms = [
        arm(rollout(id=rollout_id, percent=percent), session_id, "t")
        for percent in (0.0, less, less, more, 100.0)
    ]
    assert arms[0] == "old"
    assert arms[1] == arms[2]
    assert (arms[2], arms[3]) != ("new", "old")
    assert arms[4] == "new"


@given(IDS, IDS)
def test_a_share_is_from_zero_to_less_than_one(rollout_id: str, session_id: str) -> None:
    """Of any two ids."""
    assert 0 <= share(rollout_id, session_id) < 1


@pytest.mark.parametrize("percent", [5.0, 50.0, 95.0])
def test_so_many_sessions_get_the_new_version_as_were_asked_for(percent: float) -> None:
    """Within five standard deviations, and independently of another rollout's choice."""
    random_ids = random.Random(run_seed())
    ids = [str(uuid.UUID(int=random_ids.getrandbits(128))) for _ in range(4000)]
    one, other = (rollout(id=name, percent=percent) for name in ("one", "other"))
    new = {each for each in ids if arm(one, each, "t") == "new"}
    chance = percent / 100
    allowed = 5 * (chance * (1 - chance) / len(ids)) ** 0.5
    assert abs(len(new) / len(ids) - chance) < allowed
    both = sum(arm(other, each, "t") == "new" for each in new)
    assert abs(both / len(ids) - chance**2) < allowed


@given(IDS, PERCENTS, st.sets(NAMES, min_size=1), NAMES)
def test_only_named_tenants_get_it(session_id: str, percent: float, named: set[str], tenant: str) -> None:
    """For others the percentage does not matter: they are what it is compared with."""
    for_some = rollout(percent=percent, tenants=tuple(named))
    expected = arm(rollout(percent=percent), session_id, tenant) if tenant in named else "old"
    assert arm(for_some, session_id, tenant) == expected


def test_promotions_are_followed_one_after_the_other() -> None:
    """Also back to a version that was there before, and from there on again."""
    history = [promoted("A", "B", 1), promoted("B", "C", 2), promoted("C", "A", 3)]
    versions = [in_force("bundle", "x", "A", history[:count]).version for count in range(4)]
    assert versions == ["A", "B", "C", "A"]
    back = in_force("bundle", "x", "A", history)
    assert back.source is None, "what lies on disk needs no rollout to come from"
    assert in_force("bundle", "x", "A", history[1::-1]).version == "C", "in the order of their promotion"


@given(st.lists(st.tuples(NAMES, NAMES), max_size=6))
def test_promotions_come_to_an_end(steps: list[tuple[str, str]]) -> None:
    """However they go round; the source is the rollout that holds the version."""
    history = [promoted(old, new, day) for day, (old, new) in enumerate(steps)]
    found = in_force("bundle", "x", "a", history)
    if found.source is None:
        assert found.version == "a"
    else:
        assert [each.new_version for each in history if each.id == found.source] == [found.version]


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "flow"},
        {"name": "y"},
        {"old_version": "Z"},
        {"status": "aborted"},
    ],
)
@pytest.mark.parametrize("status", ["running", "promoted"])
def test_what_is_about_something_else_changes_nothing(status: str, other: dict[str, Any]) -> None:
    """Another kind, another name, another old version: disk wins; and an aborted rollout is over."""
    found = choose("bundle", "x", "A", [rollout(**{"status": status, **other})], "s", "t")
    assert (found.version, found.source, found.arms) == ("A", None, {})


@given(IDS, PERCENTS)
def test_a_session_counts_on_the_side_of_its_version(session_id: str, percent: float) -> None:
    """A rollout begins where a promotion has led; what it holds is where the version comes from."""
    running = rollout(id="r2", old_version="B", new_version="C", percent=percent)
    found = choose("bundle", "x", "A", [running, promoted("A", "B", 1, id="r1")], session_id, "t")
    expected = {"new": ("C", "r2"), "old": ("B", "r1")}[found.arms["r2"]]
    assert (found.version, found.source) == expected
    assert found.arms["r2"] == arm(running, session_id, "t")


COUNTS = st.integers(0, 40)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    """An arm as it can be."""
    ended = draw(COUNTS)
    return Tally(
        begun=ended + draw(COUNTS),
        ended=ended,
        failed=draw(st.integers(0, ended)),
        passed=draw(COUNTS),
        sent_back=draw(COUNTS),
        priced=draw(st.integers(0, ended)),
        cost_usd=draw(st.floats(0, 100)),
    )


@given(tallies(), tallies(), st.integers(1, 50))
def test_nothing_is_decided_too_early(new: Tally, old: Tally, least: int) -> None:
    """Whatever the numbers say."""
    if min(new.ended, old.ended) < least:
        assert crossed(new, old, Bounds(min_sessions=least)) is None


@given(tallies())
def test_a_version_is_never_worse_than_its_equal(tally: Tally) -> None:
    """The strictest limits let the same numbers pass."""
    strict = Bounds(min_sessions=1, max_failure_rate=0, max_gate_rate=0, max_cost_ratio=1)
    assert crossed(tally, tally, strict) is None


@given(tallies(), tallies(), st.floats(0, 1), st.floats(0, 1))
def test_a_stricter_limit_lets_nothing_more_pass(new: Tally, old: Tally, one: float, other: float) -> None:
    """What a wide limit aborts, a narrow one does, too."""
    narrow, wide = (
        Bounds(min_sessions=1, max_failure_rate=each, max_gate_rate=each, max_cost_ratio=1 + each)
        for each in sorted((one, other))
    )
    if crossed(new, old, wide):
        assert crossed(new, old, narrow)


GOOD = Tally(begun=10, ended=10, failed=1, passed=18, sent_back=2, priced=10, cost_usd=1.0)


@pytest.mark.parametrize(
    ("worse", "says"),
    [
        (
            {"failed": 4},
            "With the new version 4 of 10 sessions failed (40 %), with the old one 1 of 10 (10 %); "
            "the limit is 20 points more.",
        ),
        (
            {"passed": 10, "sent_back": 10},
            "With the new version gates sent back 10 of 20 answers (50 %), with the old one 2 of 20 (10 %); "
            "the limit is 20 points more.",
        ),
        (
            {"cost_usd": 2.1},
            "With the new version a session costs $0.2100, with the old one $0.1000; "
            "the limit is 2 times as much.",
        ),
        ({"failed": 3, "passed": 14, "sent_back": 6, "cost_usd": 2.0}, None),
        ({"failed": 0, "sent_back": 0, "cost_usd": 0.0}, None),
        ({"priced": 0, "cost_usd": 0.0}, None),
    ],
)
def test_a_limit_that_is_crossed_is_told_with_both_numbers(worse: dict[str, Any], says: str | None) -> None:
    """And what is just at a limit, or better, or not known, is let pass."""
    bounds = Bounds(min_sessions=10, max_failure_rate=0.2, max_gate_rate=0.2, max_cost_ratio=2)
    assert crossed(GOOD.model_copy(update=worse), GOOD, bounds) == says
