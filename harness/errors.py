"""Everything the harness raises, in one tree.

    HarnessError
    ├── BadInput            the person can mend it; the CLI says the sentence and exits with 2
    │   ├── BadSettings     harness.toml or an option has a wrong value
    │   ├── BadBundle       an AGENT.md, its schemas or its tools do not load
    │   ├── BadFlow         a flow names what does not exist or cannot fit together
    │   ├── BadSource       a document cannot be read
    │   ├── NoSuchSession   no session has this id
    │   ├── BadSessionFile  a file is no session that was exported, or does not fit here
    │   ├── NotResumable    the session is in a state the command cannot go on from
    │   ├── NotReplayable   there is no recording of the session to play
    │   └── NotAllowed      the tenant's limits forbid it
    ├── StoreError          Postgres cannot do what was asked
    │   ├── StoreUnavailable  no server answers, or it stopped answering
    │   ├── JournalRefused    a session was written by a newer version of the harness
    │   ├── RoleRefused       the role of the DSN may not do this
    │   ├── MigrationRefused  the schema is newer than the code, or an applied migration was edited
    │   ├── PruneRefused    a session that is kept would be harmed
    │   └── LeaseLost       another process may advance this session now; stop at once
    ├── LeaseHeld           another live process advances this session
    ├── AgentError          an agent run cannot start or go on
    └── GatewayError        the door to the model cannot be opened
        └── BudgetSpent     the tenant's budget has no room for a model call now

Every message is one sentence that says what is wrong and what to do about it.
"""


class HarnessError(Exception):
    """The root. Catch it to catch everything the harness raises on purpose."""


class BadInput(HarnessError):
    """Something the person gave cannot be used; nothing has been created."""


class BadSettings(BadInput):
    """A setting or an option has a value that cannot be used."""


class BadBundle(BadInput):
    """A bundle's definition does not load."""


class BadFlow(BadInput):
    """A flow cannot be run as it is written; each of `problems` is a sentence."""

    def __init__(self, *problems: str) -> None:
        super().__init__(" ".join(problems))
        self.problems = problems


class BadSource(BadInput):
    """A document given as a source cannot be read."""


class NoSuchSession(BadInput):
    """No session with this id is visible to this tenant."""


class BadSessionFile(BadInput):
    """A file is no exported session, or cannot be imported here."""


class NotResumable(BadInput):
    """The session's state does not allow what was asked."""


class NotReplayable(BadInput):
    """The session cannot be played again."""


class NotAllowed(BadInput):
    """The limits of the tenant forbid what was asked."""


class StoreError(HarnessError):
    """Postgres cannot do what was asked."""


class StoreUnavailable(StoreError):
    """No Postgres server answers."""


class RoleRefused(StoreError):
    """The role that the DSN connects as may not do this, or not with these rows."""


class MigrationRefused(StoreError):
    """The database's schema and this version of the harness do not fit."""


class PruneRefused(StoreError):
    """Pruning would have harmed a session that is kept; it was undone."""


class JournalRefused(StoreError):
    """A session's journal holds what only a newer version of the harness can read."""


class LeaseLost(StoreError):
    """The lease's token is no longer the session's: another process took over."""


class LeaseHeld(HarnessError):
    """Another process that is alive holds the session's lease."""


class AgentError(HarnessError):
    """An agent run cannot be started or continued."""


class GatewayError(HarnessError):
    """The gateway cannot serve model calls."""


class BudgetSpent(GatewayError):
    """The budget of a session's tenant has no room for its next model call.

    `revision` tells which limits of the tenant's those were. `again_s` are the seconds until there may be
    room again, for a session that workers go on with then; None when a person has to do something. `passing`
    says that only calls on the wire are in the way, which may turn out to have used less.
    """

    def __init__(
        self, problem: str, *, revision: int, again_s: float | None = None, passing: bool = False
    ) -> None:
        super().__init__(problem)
        self.revision = revision
        self.again_s = again_s
        self.passing = passing
