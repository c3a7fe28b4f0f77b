"""What sessions begin with, and go on with, while versions change: committed by the library."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import Harness, from_environment
from harness.bundles.bundle import Bundle
from harness.bundles.load import load_bundle
from harness.candidate import read_candidate, start_rollout
from harness.errors import BadBundle, BadFlow, BadInput, NotResumable, StoreError
from harness.flow import Agent, AnyNode, Pipeline
from harness.flow.read import read_flow
from harness.redaction import Redactor
from harness.rollout import Bounds, Rollout
from harness.state import SessionState
from harness.store.database import Database
from harness.store.rollouts import end_rollout, read_rollouts, tallies
from tests.e2e.crew import make_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A crew, and a flow over it."""
    folder = make_project(tmp_path / "project", "abc")
    (folder / "flows").mkdir()
    (folder / "flows" / "line.yaml").write_text("flow: {pattern: pipeline, stages: [a, b]}\n")
    return folder


def other_version(project: Path, name: str, says: str = "Differently.") -> Path:
    """A new version of a bundle, outside of the project."""
    place = project.parent / says.strip(".") / name
    shutil.copytree(project / "subagents" / name, place)
    with (place / "AGENT.md").open("a") as file:
        file.write(f"{says}\n")
    return place


def put_on_disk(project: Path, bundle: Path) -> None:
    """Change the project's files to this version."""
    shutil.rmtree(project / "subagents" / bundle.name)
    shutil.copytree(bundle, project / "subagents" / bundle.name)


class Office:
    """A project with its database; for each call the bundles are loaded anew, as by another process."""

    def __init__(self, project: Path, database: Database) -> None:
        self.project = project
        self.database = database

    @asynccontextmanager
    async def open(self, *bundles: Bundle, **options: Any) -> AsyncIterator[Harness]:
        given = {"dsn": self.database.dsn, "home": str(self.project.parent / "home"), **options}
        settings = from_environment(self.project, given, {})
        async with Harness(project=self.project, settings=settings, bundles=bundles) as harness:
            yield harness

    async def begin(self, flow: str | AnyNode = "line", *bundles: Bundle, **options: Any) -> SessionState:
        """Commit a session and leave it, as a process that is killed does."""
        async with self.open(*bundles, **options) as harness:
            session = await harness.start("Why?", flow=flow, upstream="offline")
            await session._journal.lease.release()
            return session.state

    async def bundles(self, session_id: str, *bundles: Bundle) -> dict[str, Bundle]:
        """Take a session up, and tell what it works with."""
        async with self.open(*bundles) as harness:
            session = await harness.resume(session_id)
            await session._journal.lease.release()
            return dict(session._tools.bundles)

    async def roll_out(self, new: Path, percent: float = 100.0, tenants: list[str] | None = None) -> Rollout:
        async with self.open() as harness:
            candidate = read_candidate(new, harness.bundles, self.project, harness.redactor)
            begun = await start_rollout(
                self.database,
                harness.settings.home,
                candidate,
                harness.bundles,
                self.project,
                percent=percent,
                tenants=tenants,
                bounds=Bounds(),
            )
        (found,) = [each for each in await read_rollouts(self.database) if each.id == begun]
        return found

    async def promote(self, rollout: Rollout) -> None:
        assert await end_rollout(self.database, rollout, "promoted", None)


@pytest.fixture
def office(project: Path, database: Database) -> Office:
    return Office(project, database)


def version(state: SessionState, name: str = "a") -> str:
    """The version of a bundle that a session began with."""
    assert state.created is not None
    return state.created.bundles[name]


async def test_a_session_goes_on_with_what_it_began_with(office: Office, project: Path) -> None:
    """Changed or gone from disk, laid out before or not; new sessions get what is there."""
    began = await office.begin()
    put_on_disk(project, other_version(project, "a"))
    shutil.rmtree(project / "subagents" / "b")
    found = await office.bundles(began.id)
    assert {name: found[name].version for name in "ab"} == {name: version(began, name) for name in "ab"}
    assert "Differently." not in found["a"].prompt
    assert found["a"].origin is not None
    assert found["a"].origin.is_relative_to(project.parent / "home" / "bundles")
    assert "Differently." in (await office.bundles((await office.begin(Agent(agent="a"))).id))["a"].prompt
    shutil.rmtree(project.parent / "home")
    assert (await office.bundles(began.id))["a"].version == version(began)


async def test_what_is_as_it_was_is_taken_from_disk(office: Office, project: Path) -> None:
    """Nothing is laid out for a session whose files are there."""
    began = await office.begin()
    found = await office.bundles(began.id)
    assert found["a"].origin == project / "subagents" / "a" / "AGENT.md"
    assert not (project.parent / "home" / "bundles").exists()


async def test_stored_files_that_were_changed_are_not_run(office: Office, project: Path) -> None:
    """They no longer fit their hash."""
    began = await office.begin()
    put_on_disk(project, other_version(project, "a"))
    spoilt = "UPDATE bundle_version SET files = replace(files::text, 'I AM', 'I WAS')::json"
    await office.database.run(spoilt)
    with pytest.raises(StoreError, match="not those of their hash"):
        await office.bundles(began.id)


async def test_another_release_that_hashes_otherwise_still_takes_it_up(office: Office, project: Path) -> None:
    """The files are the same ones: the version they were kept under is their name."""
    began = await office.begin()
    await office.database.run("DELETE FROM session_bundle")
    await office.database.run("UPDATE bundle_version SET version = repeat('7', 64) WHERE name = 'a'")
    seventh = "UPDATE event SET payload = replace(payload::text, %(old)s, repeat('7', 64))::json"
    await office.database.run(seventh, {"old": version(began)})
    found = await office.bundles(began.id)
    assert (found["a"].version, found["a"].prompt) == ("7" * 64, "I AM a.")


async def test_a_bundle_made_in_python_must_be_the_same(office: Office, project: Path) -> None:
    """It cannot be kept as files; a session does not go on with another."""
    made = replace(load_bundle(project / "subagents" / "a"), files=None)
    fixed = Bundle.define(
        name="d", description="Does it.", prompt="Do it.", input=made.input, output=made.output
    )
    other = Bundle.define(
        name="d", description="Does it.", prompt="Do!", input=made.input, output=made.output
    )
    began = await office.begin(Agent(agent="d"), fixed)
    assert (await office.bundles(began.id, fixed))["d"] is not None
    with pytest.raises(NotResumable, match=r"another version of the bundle d .* not kept; resume it where"):
        await office.bundles(began.id, other)
    with pytest.raises(NotResumable, match="uses the bundle d, which is not here"):
        await office.bundles(began.id)
    assert (await office.bundles(began.id, fixed))["d"].version == fixed.version, "the lease was given back"


async def test_no_secret_is_kept_with_a_bundle(office: Office, project: Path) -> None:
    """Such a bundle works, but only as long as it is there as it was; and none is rolled out."""
    (project / "subagents" / "a" / "tools.txt").write_text("key = sk-ant-api03-" + "Ab1" * 20 + "\n")
    began = await office.begin()
    rows = await office.database.all("SELECT name FROM bundle_version")
    assert [row["name"] for row in rows] == ["b"]
    await office.bundles(began.id)
    new = other_version(project, "a")
    with pytest.raises(BadBundle, match="key or a password"):
        await office.roll_out(new)
    put_on_disk(project, new)
    with pytest.raises(NotResumable, match="another version of the bundle a"):
        await office.bundles(began.id)


async def test_a_fork_keeps_the_versions_of_its_origin(office: Office, project: Path) -> None:
    """Its edits are held against them, and so does it go on."""
    began = await office.begin()
    new = other_version(project, "a")
    schemas = new / "schemas.py"
    schemas.write_text(schemas.read_text().replace("objective:", "aim:"))
    put_on_disk(project, new)
    async with office.open() as harness:
        forked = await harness.fork(began.id, at=1, edits={"question": "How?"})
    assert (await office.bundles(forked))["a"].version == version(began)


async def test_half_of_the_sessions_get_the_new_version(office: Office, project: Path) -> None:
    """Each is counted on the side of what it began with, and works with it ever after."""
    rollout = await office.roll_out(other_version(project, "a"), 50)
    began = [await office.begin() for _ in range(20)]
    arms = {
        str(row["session_id"]): row["arm"]
        for row in await office.database.all("SELECT session_id, arm FROM rollout_session")
    }
    versions = {"old": rollout.old_version, "new": rollout.new_version}
    assert {each.id: version(each) for each in began} == {id: versions[arm] for id, arm in arms.items()}
    assert set(arms.values()) == {"old", "new"}, "all alike has a chance of one in half a million"
    counted = await tallies(office.database, rollout.id)
    assert {arm: counted[arm].begun for arm in counted} == {
        arm: list(arms.values()).count(arm) for arm in arms.values()
    }
    assert await end_rollout(office.database, rollout, "aborted", "It was aborted.")
    taken = next(each for each in began if arms[each.id] == "new")
    assert (await office.bundles(taken.id))["a"].prompt.endswith("Differently."), "also after an abort"
    assert version(await office.begin()) == rollout.old_version
    assert len(arms) == 20


async def test_named_tenants_get_it_first(office: Office, project: Path) -> None:
    """The others are what they are compared with."""
    rollout = await office.roll_out(other_version(project, "a"), tenants=["pilot", "second"])
    assert version(await office.begin(tenant="pilot")) == rollout.new_version
    assert version(await office.begin(tenant="third")) == rollout.old_version
    counted = await tallies(office.database, rollout.id)
    assert (counted["new"].begun, counted["old"].begun) == (1, 1)


async def test_a_promoted_version_stands_in_until_the_files_are_others(office: Office, project: Path) -> None:
    """Disk wins; with the old files it is back, and the next rollout begins where this one has led."""
    new, third = other_version(project, "a"), other_version(project, "a", "Thirdly.")
    kept = project.parent / "kept" / "a"
    shutil.copytree(project / "subagents" / "a", kept)
    rollout = await office.roll_out(new)
    await office.promote(rollout)
    assert version(await office.begin()) == rollout.new_version
    put_on_disk(project, third)
    assert version(await office.begin()) == load_bundle(third).version
    put_on_disk(project, kept)
    further = await office.roll_out(third, 50)
    assert (further.old_version, further.new_version) == (rollout.new_version, load_bundle(third).version)
    assert {version(await office.begin()) for _ in range(12)} <= {further.old_version, further.new_version}
    await office.promote(further)
    assert version(await office.begin()) == further.new_version
    with pytest.raises(BadInput, match="in force already"):
        await office.roll_out(third)
    back = await office.roll_out(kept)
    await office.promote(back)
    assert version(await office.begin()) == load_bundle(kept).version


async def test_a_flow_is_rolled_out_like_a_bundle(office: Office, project: Path) -> None:
    """The session has the whole of it, wired for its bundles."""
    file = project.parent / "line.yaml"
    file.write_text("flow: {pattern: pipeline, stages: [a, b, c]}\n")
    rollout = await office.roll_out(file, tenants=["pilot"])
    assert (rollout.kind, rollout.name) == ("flow", "line")
    assert rollout.new_version == read_flow(file, project).version
    old, new = await office.begin(), await office.begin(tenant="pilot")
    assert old.created is not None
    assert new.created is not None
    assert (set(old.created.bundles), set(new.created.bundles)) == ({"a", "b"}, {"a", "b", "c"})
    assert isinstance(new.created.flow, Pipeline)
    assert len(new.created.flow.stages) == 3
    assert (await office.begin("research", tenant="pilot")).created is not None
    assert len(await office.database.all("SELECT FROM rollout_session")) == 2


async def test_a_bundle_of_a_flow_that_is_rolled_out_counts_for_both(office: Office, project: Path) -> None:
    """Two rollouts at once decide by themselves."""
    file = project.parent / "line.yaml"
    file.write_text("flow: {pattern: pipeline, stages: [a, c]}\n")
    of_flow, of_bundle = await office.roll_out(file), await office.roll_out(other_version(project, "c"))
    began = await office.begin()
    assert version(began, "c") == of_bundle.new_version
    rows = await office.database.all("SELECT rollout_id, arm FROM rollout_session")
    assert {str(row["rollout_id"]): row["arm"] for row in rows} == {of_flow.id: "new", of_bundle.id: "new"}


async def test_a_flow_that_a_new_version_does_not_fit_is_left_alone(
    office: Office, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One that the rollout could not know: it begins with what lies on disk and is not counted."""
    new = other_version(project, "a")
    schemas = new / "schemas.py"
    schemas.write_text(schemas.read_text().replace("    handoff_to: str | None", "    other: str | None"))
    rollout = await office.roll_out(new)
    own = project / "own.yaml"
    own.write_text("state: {why: {kind: text}}\nflow: {pattern: agent, agent: a, write: {why: handoff_to}}\n")
    assert version(await office.begin(str(own))) == rollout.old_version
    assert "what is rolled out does not fit" in caplog.text
    assert "handoff_to" in caplog.text
    assert version(await office.begin()) == rollout.new_version
    assert (await tallies(office.database, rollout.id))["new"].begun == 1


async def test_a_version_that_does_not_fit_is_not_rolled_out(office: Office, project: Path) -> None:
    """Neither its inputs, nor its outputs, nor what a flow names; and nothing is stored."""
    new = other_version(project, "b")
    schemas = new / "schemas.py"
    schemas.write_text(
        schemas.read_text().replace("objective: str", "riddle: float").replace("min_length=1, ", "")
    )
    with pytest.raises(BadFlow, match="riddle"):
        await office.roll_out(new)
    file = project.parent / "line.yaml"
    file.write_text("flow: {pattern: pipeline, stages: [a, z]}\n")
    with pytest.raises(BadFlow, match="z"):
        await office.roll_out(file)
    many = other_version(project, "c", "Many.")
    front = (many / "AGENT.md").read_text()
    tools = ", ".join(f"Tool{number}" for number in range(11))
    (many / "AGENT.md").write_text(front.replace("tools: [corpus]", f"tools: [{tools}]"))
    with pytest.raises(BadBundle, match="11 tools"):
        await office.roll_out(many)
    with pytest.raises(BadInput, match="in force already"):
        await office.roll_out(project / "subagents" / "a")
    assert await read_rollouts(office.database) == []


def test_a_flows_secret_is_not_stored(project: Path) -> None:
    """It is refused by the sentence that a bundle's is."""
    file = project.parent / "line.yaml"
    secret = "Ab1" * 20
    file.write_text(f"description: sk-ant-api03-{secret}\nflow: a\n")
    with pytest.raises(BadFlow, match="key or a password"):
        read_candidate(file, {}, project, Redactor())
