"""A new version of a bundle or a flow, examined before it is rolled out as it would be at any start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.bundles.bundle import Bundle
from harness.bundles.lint import lint
from harness.bundles.load import load_bundle
from harness.errors import BadBundle, BadFlow, BadInput
from harness.flow import FLOWS, Flow, bundles_of
from harness.flow.read import SUFFIXES, project_flows, read_flow
from harness.redaction import Redactor
from harness.rolling_out import Versions
from harness.rollout import Bounds, Kind
from harness.store.database import Database
from harness.store.rollouts import add_rollout, rollouts_in_effect
from harness.versions import holds_secret
from harness.wiring import wire


@dataclass(frozen=True)
class Candidate:
    """A new version that can be stored; it may take the place of what has its name in the project."""

    new: Bundle | Flow

    @property
    def kind(self) -> Kind:
        """What it is."""
        return "flow" if isinstance(self.new, Flow) else "bundle"

    @property
    def content(self) -> dict[str, Any]:
        """What is stored of it."""
        if isinstance(self.new, Flow):
            return self.new.model_dump(mode="json")
        assert self.new.files is not None, "it was loaded from files"
        return self.new.files.model_dump()


def read_candidate(path: Path, bundles: Mapping[str, Bundle], project: Path, redactor: Redactor) -> Candidate:
    """Read the folder or file of a bundle, or the file of a flow, and examine it by itself.

    Raises:
        BadInput: it does not load, has the name of nothing that is here, or holds a secret.
    """
    if not path.exists():
        raise BadInput(f"There is no file or folder {path}; give a bundle's folder, or a flow's file.")
    if path.is_file() and path.suffix in SUFFIXES:
        flow = read_flow(path, project)
        _known("flow", flow.name, _flows(project))
        if redactor.value(flow.model_dump(mode="json")) != flow.model_dump(mode="json"):
            raise BadFlow(
                f"{path} has what looks like a key or a password in it, which is never stored; take it out."
            )
        return Candidate(flow)
    if path.is_file() and path.suffix != ".md":
        raise BadInput(f"{path} is neither a bundle nor a flow; give a bundle's folder, or a flow's file.")
    bundle = load_bundle(path.resolve())
    _known("bundle", bundle.name, bundles)
    _lint([bundle])
    assert bundle.files is not None, "it was loaded from files"
    if holds_secret(bundle.files, redactor):
        raise BadBundle(
            f"{path} has what looks like a key or a password in it, which is never stored; take it out."
        )
    return Candidate(bundle)


async def start_rollout(
    database: Database,
    home: Path,
    candidate: Candidate,
    bundles: Mapping[str, Bundle],
    project: Path,
    *,
    percent: float,
    tenants: Sequence[str] | None,
    bounds: Bounds,
) -> str:
    """Begin a rollout from the version in force now, and give its id.

    Raises:
        BadInput: the new version does not fit what it works with, is in force already, or is one of two.
    """
    versions = Versions(database, home, await rollouts_in_effect(database))
    standing = await versions.bundles_in_force(bundles)
    flows = {name: await versions.flow_in_force(flow) for name, flow in _flows(project).items()}
    new, old = candidate.new, flows if candidate.kind == "flow" else standing
    before = old[new.name].version
    if new.version == before:
        raise BadInput(f"This is the version of {new.name} that is in force already; give another one.")
    if isinstance(new, Flow):
        wire(new, standing)
        _lint([standing[name] for name in bundles_of(new.flow)])
    else:
        for flow in flows.values():
            if new.name in bundles_of(flow.flow) and _can_run(flow, standing):
                wire(flow, {**standing, new.name: new})
    return await add_rollout(
        database,
        kind=candidate.kind,
        name=new.name,
        old_version=before,
        new_version=new.version,
        content=candidate.content,
        percent=percent,
        tenants=tenants,
        bounds=bounds,
    )


def _flows(project: Path) -> dict[str, Flow]:
    own = {name: read_flow(file, project) for name, file in project_flows(project).items()}
    return {**FLOWS, **own}


def _can_run(flow: Flow, bundles: Mapping[str, Bundle]) -> bool:
    try:
        wire(flow, bundles)
    except BadFlow:
        return False
    return True


def _known(kind: Kind, name: str, here: Mapping[str, Any]) -> None:
    if name not in here:
        raise BadInput(
            f"There is no {kind} {name} whose place a new version could take; choose one of "
            f"{', '.join(sorted(here))}."
        )


def _lint(bundles: Sequence[Bundle]) -> None:
    for finding in lint({each.name: each for each in bundles}):
        if finding.level == "error":
            raise BadBundle(f"{finding.bundle}: {finding.message}")
