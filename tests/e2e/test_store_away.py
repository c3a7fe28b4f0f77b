"""A Postgres that is away or unwilling for a while: a session waits or suspends, goes on, lacks nothing.

The server is the test's own and given by its DSN: the harness cannot start it again.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.counting import Row, after_kill_of_another, after_kill_of_harness
from tests.e2e.plays import LEAD, SINGLE, SLOW, Play, Scene, armed, stops
from tests.e2e.running import Command, Desk, desk_with_notes
from tests.e2e.test_crash_points import points
from tests.kit.outages import OUTAGES, Outage, OwnPostgres
from tests.kit.processes import until_sync
from tests.kit.scripted_api import ScriptedProcess, scripted_process
from tests.kit.seeds import run_seed

SHORT = replace(LEAD, name="short", given={"size": 1})
"""One researcher a round: a run takes a few seconds."""

AWAY_S = 1.5
"""How long an outage lasts where nothing else is said."""

SWIFT: tuple[Outage, ...] = ("stopped", "read-only", "disk full")
"""Outages that are noticed at once: a frozen server holds up every connection that is to be given up."""

MINUTE_S = 70
"""Longer than the SDK waits for its transcript to be stored."""


@pytest.fixture
def play() -> Play:
    """What is played; a test may take another."""
    return SHORT


@pytest.fixture
def api(home: Path, holds: Path, play: Play) -> Iterator[ScriptedProcess]:
    given = {"holds": str(holds), **play.given}
    with scripted_process(play.script, home / "calls.jsonl", given=given) as played:
        yield played


@pytest.fixture
def desk(home: Path, store: OwnPostgres, api: ScriptedProcess) -> Iterator[Desk]:
    """A desk whose database is that Postgres, known by its DSN."""
    with desk_with_notes(home, api.base_url, store.dsn) as table:
        yield table


@pytest.fixture
def scene(play: Play, desk: Desk, api: ScriptedProcess, holds: Path) -> Scene:
    return Scene(play, desk, api, holds)


def test_outages_of_every_kind_are_waited_for(scene: Scene, store: OwnPostgres) -> None:
    """One after the other, at random moments: the run goes on by itself, and nothing is asked twice."""
    dice = _dice(0)
    scene.hold("report")
    command = _begun(scene)
    for how in dice.sample(OUTAGES, len(OUTAGES)):
        time.sleep(dice.uniform(0, 1))
        with store.failing(how):
            time.sleep(AWAY_S)
    scene.release("report")
    _check_undisturbed(scene, command)


def test_ended_connections_are_opened_again(scene: Scene, store: OwnPostgres) -> None:
    """Every connection of the harness is ended, again and again, and the run does not mind."""
    dice = _dice(1)
    command = _begun(scene)
    ended = 0
    while command.process.poll() is None:
        ended += store.terminate()
        time.sleep(dice.uniform(0.05, 1))
    assert ended > 0
    _check_undisturbed(scene, command)


def test_an_outage_longer_than_the_lease_suspends(scene: Scene, store: OwnPostgres) -> None:
    """The run ends by itself, says why and how to go on, and does so with the next resume."""
    dice = _dice(2)
    _check_suspended(scene, store, dice.choice(SWIFT), dice.uniform(0, 2))


@pytest.mark.campaign
@pytest.mark.parametrize("how", OUTAGES)
@pytest.mark.parametrize("number", range(5))
def test_a_long_outage_of_any_kind_suspends(
    scene: Scene, store: OwnPostgres, how: Outage, number: int
) -> None:
    """The same with each kind, at several moments."""
    _check_suspended(scene, store, how, _dice(10 + number).uniform(0, 5))


@pytest.mark.campaign
@pytest.mark.timeout(400)
@pytest.mark.parametrize("play", [SLOW], ids=str)
@pytest.mark.parametrize("how", OUTAGES)
@pytest.mark.parametrize("away_s", [2, 10])
def test_repeated_outages_while_answers_stream(
    scene: Scene, store: OwnPostgres, how: Outage, away_s: int
) -> None:
    """Away for seconds, several times in a run whose answers come slowly."""
    dice = _dice(away_s)
    command = _begun(scene)
    for _ in range(3):
        time.sleep(dice.uniform(0, 6))
        with store.failing(how):
            time.sleep(away_s)
    _check_undisturbed(scene, command)


@pytest.mark.campaign
@pytest.mark.timeout(400)
@pytest.mark.parametrize("play", [SLOW], ids=str)
@pytest.mark.parametrize("how", OUTAGES)
@pytest.mark.parametrize("number", range(3))
def test_a_minute_away_with_a_long_lease(scene: Scene, store: OwnPostgres, how: Outage, number: int) -> None:
    """The run waits, or suspends because the SDK does not wait that long for its transcript."""
    (scene.desk.home / "harness.toml").write_text(f"lease_ttl_s = {2 * MINUTE_S}\n")
    command = _begun(scene)
    time.sleep(_dice(20 + number).uniform(0, 15))
    with store.failing(how):
        time.sleep(MINUTE_S)
    _check_either(scene, command)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "point", ["before tool.requested", "before delegation.requested", "before tool.finished"]
)
@pytest.mark.parametrize("count", [1, 2])
def test_a_hook_waits_for_the_store_beyond_its_deadline(
    scene: Scene, store: OwnPostgres, point: str, count: int
) -> None:
    """It is not its fault: the tool is neither denied nor run unrecorded."""
    (scene.desk.home / "harness.toml").write_text("[hooks]\ndeadline_s = 1\n")
    command = armed(scene.desk, scene.play.lead_up(scene), point, count)
    assert stops(command, scene.desk, point)
    time.sleep(1)
    with store.stopped():
        command.process.send_signal(signal.SIGCONT)
        time.sleep(3 * AWAY_S)
    _check_undisturbed(scene, command)


@pytest.mark.campaign
@pytest.mark.timeout(400)
@pytest.mark.parametrize("play", [SLOW], ids=str)
def test_a_minute_away_with_the_usual_lease(scene: Scene, store: OwnPostgres) -> None:
    """The session is suspended meanwhile, and goes on with a resume."""
    command = _begun(scene)
    time.sleep(_dice(3).uniform(0, 15))
    with store.stopped():
        time.sleep(60)
        assert command.process.poll() == 3
    _check_resumed(scene, command)


@pytest.fixture
def pooled(scene: Scene, store: OwnPostgres) -> Iterator[Scene]:
    """The same with pgbouncer in between, in transaction mode."""
    with store.behind_pgbouncer() as dsn:
        scene.desk.dsn = dsn
        yield scene


@pytest.mark.campaign
@pytest.mark.parametrize("play", [SHORT, LEAD, SINGLE], ids=str)
def test_a_session_runs_behind_a_transaction_pooler(pooled: Scene) -> None:
    """Nothing needs a server connection for longer than a transaction."""
    _check_undisturbed(pooled, _begun(pooled))


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(5))
def test_a_killed_session_goes_on_behind_a_transaction_pooler(pooled: Scene, number: int) -> None:
    """Killed at a random moment and resumed, it lacks nothing."""
    dice = _dice(30 + number)
    command = _begun(pooled)
    time.sleep(dice.uniform(0, 5))
    row = after_kill_of_harness(pooled.desk, pooled.api, command, pooled.play)
    assert row is not None
    _check(pooled, command, row)


@pytest.mark.campaign
@pytest.mark.parametrize("how", OUTAGES)
def test_an_outage_behind_a_transaction_pooler(pooled: Scene, store: OwnPostgres, how: Outage) -> None:
    """A pooler that lives on while its server fails is waited for too."""
    dice = _dice(40)
    command = _begun(pooled)
    time.sleep(dice.uniform(0, 3))
    with store.failing(how):
        time.sleep(AWAY_S)
    _check_undisturbed(pooled, command)


POINTS = {f"{play} {point}": (play, point) for play in (LEAD, SINGLE) for point in points(play)}


@pytest.mark.campaign
@pytest.mark.parametrize(("play", "point"), POINTS.values(), ids=POINTS)
def test_away_between_any_two_commits(scene: Scene, store: OwnPostgres, point: str) -> None:
    """An outage that begins just before or just after a commit, of each kind of event."""
    dice = _dice(list(POINTS.values()).index((scene.play, point)))
    how = dice.choice(OUTAGES)
    print(f"{how} {point}")
    command = armed(scene.desk, scene.play.lead_up(scene), point, dice.choice((1, 1, 2)))
    if stops(command, scene.desk, point):
        with store.failing(how):
            command.process.send_signal(signal.SIGCONT)
            time.sleep(AWAY_S)
    _check_undisturbed(scene, command)


def _begun(scene: Scene) -> Command:
    command = scene.desk.start(*scene.play.lead_up(scene))
    until_sync(lambda: command.session_id, "the session to begin", timeout_s=60)
    return command


def _check_either(scene: Scene, command: Command) -> None:
    """The run has waited to its end, or was suspended and goes on."""
    if command.wait(120) == 3:
        _check_resumed(scene, command)
    else:
        _check_undisturbed(scene, command)


def _check_undisturbed(scene: Scene, command: Command) -> None:
    """The run ends by itself; no process was killed, so there is no call that may be repeated."""
    row = after_kill_of_another(scene.desk, scene.api, command, scene.play)
    _check(scene, command, row)
    assert row.further_turns == 0, row


def _check_suspended(scene: Scene, store: OwnPostgres, how: Outage, after_s: float) -> None:
    (scene.desk.home / "harness.toml").write_text("lease_ttl_s = 3\n")
    print(f"{how} after {after_s:.2f} s")
    scene.hold("report")
    command = _begun(scene)
    time.sleep(after_s)
    with store.failing(how):
        scene.release("report")
        assert command.wait() == 3, command.errors
    _check_resumed(scene, command)


def _check_resumed(scene: Scene, command: Command) -> None:
    """It has said why it was suspended, and only what was on the wire then is asked for again."""
    finished = command.finished
    assert finished is not None, command.errors
    assert finished["status"] == "suspended"
    assert "Postgres" in finished["problem"], finished
    assert finished["problem"].endswith(f"harness resume {command.session_id}"), finished
    until_sync(lambda: not scene.open_stages(), "the calls to be given up")
    row = after_kill_of_harness(scene.desk, scene.api, command, scene.play)
    assert row is not None
    _check(scene, command, row)


def _check(scene: Scene, command: Command, row: Row) -> None:
    row.check()
    assert command.session_id is not None
    code, found = scene.desk.run("doctor", "--session", command.session_id)
    assert (code, found["ok"]) == (0, True), found


def _dice(number: int) -> random.Random:
    print(f"repeat with HARNESS_TEST_SEED={run_seed()}")
    return random.Random(run_seed() * 1000 + number)
