"""A problem of a flow: where it stands, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass

from harness.flow import Flow


@dataclass(frozen=True)
class Problem:
    """What is wrong with `field` of the node at `address`; an empty address is the root's.

    What is the flow's own and no node's, like a field of the state, has None as its address.
    """

    address: str | None
    field: str
    says: str

    def sentence(self, flow: Flow) -> str:
        """Name the file (or the flow), the field and what is wrong."""
        file, address = flow.file_of(self.address or "")
        where = str(file) if file else f"The flow '{flow.name}'"
        node = None if self.address is None else address or "flow"
        field = ".".join(part for part in (node, self.field) if part)
        return f"{where}: {field}: {self.says}."
