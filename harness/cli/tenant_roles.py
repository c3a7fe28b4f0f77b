"""`harness tenants grant` and `revoke`: plain roles of Postgres that work for one tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click

from harness.cli.options import TEXT, Common, common
from harness.cli.output import answer, answer_json
from harness.cli.signals import run_whole
from harness.store import tenant_roles
from harness.store.database import Database
from harness.store.open import open_store


@click.command("grant")
@click.argument("name", type=TEXT)
@click.argument("role", type=TEXT)
@common
def grant(common: Common, name: str, role: str) -> int:
    """Let ROLE, a plain role of Postgres, work for the tenant NAME: it sees and changes its rows alone.

    The role must exist; make one with: create role NAME login. It then uses a DSN of its own and --tenant.
    """

    said = f"The role {role} works for the tenant {name} now, with --tenant and a DSN of its own."
    return _change(common, tenant_roles.grant, name, role, granted=True, said=said)


@click.command("revoke")
@click.argument("name", type=TEXT)
@click.argument("role", type=TEXT)
@common
def revoke(common: Common, name: str, role: str) -> int:
    """Take the tenant NAME from ROLE again; with its last tenant the role loses all its rights here."""

    said = f"The role {role} does not work for the tenant {name} any more."
    return _change(common, tenant_roles.revoke, name, role, granted=False, said=said)


def _change(
    common: Common,
    change: Callable[[Database, str, str], Awaitable[None]],
    name: str,
    role: str,
    *,
    granted: bool,
    said: str,
) -> int:
    async def work() -> int:
        async with open_store(common.settings) as database:
            await change(database, name, role)
        if common.as_json:
            answer_json({"tenant": name, "role": role, "granted": granted})
        else:
            answer(said)
        return 0

    return run_whole(work())
