"""A session works with the versions of its bundles that it began with, whatever lies on disk by now."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from harness.bundles.bundle import Bundle
from harness.bundles.load import load_bundle
from harness.errors import NotResumable, RoleRefused
from harness.log_fields import about
from harness.packing import Packed, unpack
from harness.redaction import Redactor
from harness.state import SessionState
from harness.store.database import Database
from harness.store.versions import keep_versions, kept_versions

log = logging.getLogger(__name__)

FOLDER = "bundles"
"""Where kept bundles are laid out, in the home folder."""


async def keep_bundles(
    database: Database, tenant: str, session_id: str, bundles: Iterable[Bundle], redactor: Redactor
) -> None:
    """Keep what a session begins with; not a bundle made in Python, nor one with a secret in its files."""
    files = {(each.name, each.version): each.files for each in bundles}
    storable = {key: packed for key, packed in files.items() if packed and not holds_secret(packed, redactor)}
    try:
        await keep_versions(database, tenant, session_id, storable)
    except RoleRefused as problem:
        # A tenant's plain role keeps no code for the service's workers to run.
        log.info("no versions are kept: %s", problem, extra=about("versions_not_kept"))


def holds_secret(packed: Packed, redactor: Redactor) -> bool:
    """Whether a bundle's files may not be stored."""
    return any(redactor.text(text) != text for text in packed.texts.values())


async def session_bundles(
    database: Database, state: SessionState, here: Mapping[str, Bundle], home: Path
) -> dict[str, Bundle]:
    """Give the bundles that are here, and in their place those that the session began with.

    One that is neither here nor kept is left out. A replay is there to try what is here, and gets that.

    Raises:
        NotResumable: what is here is another version, and that of the session is not kept.
    """
    began_with = state.created.bundles if state.created and state.replays is None else {}
    gone = {
        name: version
        for name, version in began_with.items()
        if name not in here or here[name].version != version
    }
    kept = await kept_versions(database, state.tenant, gone) if gone else {}
    changed = sorted(name for name in gone.keys() - kept.keys() if name in here)
    if changed:
        raise NotResumable(
            f"Session {state.id} began with another version of the bundle {changed[0]} than is here, and "
            "that version is not kept; resume it where the bundle is as it was."
        )
    return {**here, **{name: load_packed(packed, gone[name], home) for name, packed in kept.items()}}


def load_packed(packed: Packed, version: str, home: Path) -> Bundle:
    """Lay a bundle's stored files out below the home folder and load it from there.

    Raises:
        StoreError: the files are not what was stored.
        BadBundle: this version of the harness cannot load it.
    """
    # The version is a name by now: another release may write the same schemas, and so hash them, otherwise.
    return replace(load_bundle(unpack(packed, home / FOLDER)), version=version)
