"""A request as it comes in at the service: its body, its size and its headers, ready to be asked about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from harness.offline.rules.families import Family, family_of

Block = Mapping[str, Any]


class Message(NamedTuple):
    """A message with its content as a list of blocks, and its place among the messages."""

    at: int
    role: str
    blocks: Sequence[Block]


class Placed(NamedTuple):
    """A block, where it stands ("messages.3.content.0"), and in whose message."""

    path: str
    role: str
    block: Block


@dataclass(frozen=True)
class Incoming:
    """A Messages request; `size` are the bytes of its body. Header names are in lower case.

    All but `body`, `size`, `headers` and `betas` rely on the rules about form having passed.
    """

    body: Mapping[str, Any]
    size: int
    headers: Mapping[str, str]

    @cached_property
    def betas(self) -> frozenset[str]:
        """The beta features it asks for."""
        return frozenset(one.strip() for one in self.headers.get("anthropic-beta", "").split(","))

    @cached_property
    def family(self) -> Family:
        """The family of the model that is asked."""
        return family_of(self.body["model"])

    @cached_property
    def messages(self) -> list[Message]:
        """The conversation."""
        return [
            Message(at, message["role"], as_blocks(message["content"]))
            for at, message in enumerate(self.body["messages"])
        ]

    @cached_property
    def turns(self) -> list[list[Message]]:
        """The messages, those of one role in a row together: the service reads them as one turn."""
        turns: list[list[Message]] = []
        for message in self.messages:
            if turns and turns[-1][0].role == message.role:
                turns[-1].append(message)
            else:
                turns.append([message])
        return turns

    @cached_property
    def blocks(self) -> list[Placed]:
        """All blocks of the messages in order, those within tool results right after their result."""
        return [placed for message in self.messages for placed in placed_in(message)]

    @cached_property
    def system(self) -> Sequence[Block]:
        """The blocks of the system prompt."""
        return as_blocks(self.body.get("system", ()))

    @cached_property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The tools it offers."""
        return list(self.body.get("tools", ()))

    @cached_property
    def custom_tools(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Those of its tools that are no tools of the service, each with where it stands."""
        return [
            (f"tools.{at}.custom", tool)
            for at, tool in enumerate(self.tools)
            if tool.get("type", "custom") == "custom"
        ]

    @property
    def thinking(self) -> Mapping[str, Any]:
        """What it says about thinking."""
        found: Mapping[str, Any] = self.body.get("thinking", {})
        return found

    @property
    def output(self) -> Mapping[str, Any]:
        """What it says about the output: effort and format."""
        found: Mapping[str, Any] = self.body.get("output_config", {})
        return found


def as_blocks(content: str | Sequence[Block]) -> Sequence[Block]:
    """Give content as a list of blocks, however it was written."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def placed_in(message: Message) -> Iterator[Placed]:
    """Give the blocks of a message with their places."""
    for number, block in enumerate(message.blocks):
        path = f"messages.{message.at}.content.{number}"
        yield Placed(path, message.role, block)
        if block["type"] == "tool_result":
            for within, inner in enumerate(as_blocks(block.get("content", ()))):
                yield Placed(f"{path}.tool_result.content.{within}", message.role, inner)
