"""What a session begins with while versions are rolled out, and on which side it is counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.bundles.bundle import Bundle
from harness.errors import BadInput
from harness.flow import AnyNode, Flow, bundles_of
from harness.log_fields import about
from harness.packing import Packed
from harness.request import Request
from harness.rollout import Arm, Choice, Rollout, choose, in_force
from harness.settings import Settings
from harness.store.database import Database
from harness.store.rollouts import rollout_content, rollouts_in_effect
from harness.versions import load_packed

log = logging.getLogger(__name__)

Recheck = Callable[[Mapping[str, Bundle], str | Flow | AnyNode], Request]
"""Checks the request of a session with other bundles and another flow; it raises BadInput."""


@dataclass(frozen=True)
class Beginning:
    """What a session begins with; `arms` says by rollout on which side it is counted."""

    request: Request
    bundles: Mapping[str, Bundle]
    arms: Mapping[str, Arm] = field(default_factory=dict)

    @property
    def used(self) -> list[Bundle]:
        """The bundles of its flow."""
        return [self.bundles[name] for name in bundles_of(self.request.flow.flow)]


async def beginning(
    database: Database,
    settings: Settings,
    bundles: Mapping[str, Bundle],
    session_id: str,
    request: Request,
    recheck: Recheck,
) -> Beginning:
    """Decide which versions a session begins with, where `request` and `bundles` are what lies on disk.

    What is rolled out and does not fit the rest of this session is left alone, and said in the log: then it
    begins with what lies on disk, and counts for no rollout.
    """
    plain = Beginning(request, bundles)
    rollouts = await rollouts_in_effect(database)
    if not rollouts:
        return plain
    versions, tenant = Versions(database, settings.home, rollouts), settings.tenant
    arms: dict[str, Arm] = {}
    try:
        asked = request.given
        chosen = choose("flow", asked.name, asked.version, rollouts, session_id, tenant)
        flow = await versions.flow(asked, chosen)
        arms |= chosen.arms
        given = dict(bundles)
        for name in bundles_of(flow.flow):
            if (bundle := bundles.get(name)) is not None:
                chosen = choose("bundle", name, bundle.version, rollouts, session_id, tenant)
                given[name] = await versions.bundle(bundle, chosen)
                arms |= chosen.arms
        if flow is asked and all(given[name] is each for name, each in bundles.items()):
            return Beginning(request, bundles, arms)
        return Beginning(recheck(given, flow), given, arms)
    except BadInput as problem:
        log.warning(
            "session %s begins with what lies on disk, because what is rolled out does not fit: %s",
            session_id,
            problem,
            extra=about("rollout_unfit", session_id=session_id),
        )
        return plain


class Versions:
    """Loads the versions that rollouts hold."""

    def __init__(self, database: Database, home: Path, rollouts: Sequence[Rollout]) -> None:
        self._database = database
        self._home = home
        self._rollouts = rollouts

    async def bundle(self, here: Bundle, chosen: Choice) -> Bundle:
        """Give a bundle in the version that was chosen."""
        if chosen.source is None:
            return here
        packed = Packed.model_validate(await rollout_content(self._database, chosen.source))
        return load_packed(packed, chosen.version, self._home)

    async def flow(self, here: Flow, chosen: Choice) -> Flow:
        """Give a flow in the version that was chosen."""
        if chosen.source is None:
            return here
        return Flow.model_validate(await rollout_content(self._database, chosen.source))

    async def bundles_in_force(self, here: Mapping[str, Bundle]) -> dict[str, Bundle]:
        """Give the bundles with what has been promoted in the place of what lies on disk."""
        return {
            name: await self.bundle(each, in_force("bundle", name, each.version, self._rollouts))
            for name, each in here.items()
        }

    async def flow_in_force(self, here: Flow) -> Flow:
        """Give a flow, or what has been promoted in its place."""
        return await self.flow(here, in_force("flow", here.name, here.version, self._rollouts))
