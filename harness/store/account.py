"""Which account of the machine runs the embedded server, and what that account can reach.

Postgres refuses to run as root. For root an account that exists anyway is used; none is ever created, and no
folder but our own gets another owner or mode.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from harness.errors import StoreUnavailable

if sys.platform != "win32":
    import pwd

CANDIDATES = ("postgres", "nobody")
"""The accounts root borrows, in order: initdb wants one that has an entry among the system's users."""


class Switch(TypedDict, total=False):
    """The arguments of subprocess that change the account; empty when none is changed."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Account:
    """An account by its numeric ids; `borrowed` when it is not the one this process runs as."""

    uid: int
    gid: int
    borrowed: bool

    @property
    def switch(self) -> Switch:
        """What to pass to subprocess for a child that runs as this account."""
        return Switch(user=self.uid, group=self.gid, extra_groups=[]) if self.borrowed else Switch()

    def owns(self, path: Path) -> None:
        """Hand over a file or folder that we created."""
        if self.borrowed:
            os.chown(path, self.uid, self.gid)

    def reaches(self, *paths: Path) -> bool:
        """Say whether the account may enter (a folder) or execute (a file) every one of the paths.

        It is tried, not computed: modes alone do not tell what access lists or a container allow.
        """
        if not self.borrowed:
            return True
        test = 'for path; do test -x "$path" || exit 1; done'
        command = ["/bin/sh", "-c", test, "sh", *map(str, paths)]
        return subprocess.run(command, cwd="/", env={}, check=False, **self.switch).returncode == 0


def account_for(data: Path) -> Account:
    """Choose the account that runs the server of the data folder `data`, which need not exist yet.

    Raises StoreUnavailable when an existing folder belongs to an account this process cannot act for.
    """
    us, owner = os.geteuid(), data.stat() if data.exists() else None
    if owner is not None and owner.st_uid != us and us != 0:
        raise StoreUnavailable(
            f"The embedded database in {data} belongs to the user with id {owner.st_uid}: "
            "run as that user, or use another home folder."
        )
    if us != 0:
        return Account(us, os.getegid(), borrowed=False)
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, borrowed=True)
    if owner is not None:
        raise StoreUnavailable(
            f"The embedded database in {data} belongs to root, as whom Postgres refuses to run: "
            "give the folder to another user, or use another home folder."
        )
    for name in CANDIDATES:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(found.pw_uid, found.pw_gid, borrowed=True)
    raise StoreUnavailable(
        "Postgres refuses to run as root and this machine has neither a user postgres nor nobody: "
        "run the harness as an ordinary user, or give the DSN of a server (--dsn or HARNESS_DSN)."
    )
