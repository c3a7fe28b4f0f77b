"""Whom a lead or a router can give work to: its node's members, as the model is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from harness.bundles.bundle import Bundle
from harness.flow import AnyNode, children, label
from harness.wiring import input_of, one_pager


@dataclass(frozen=True)
class Offer:
    """A member: its name, the type of its input, and one line about it."""

    name: str
    input: type[BaseModel]
    one_pager: str


def offers(node: AnyNode, bundles: Mapping[str, Bundle]) -> dict[str, Offer]:
    """Give the members of a node by their names."""
    return {
        label(member): Offer(label(member), input_of(member, bundles), one_pager(member, bundles))
        for member in children(node).values()
    }
