"""The families of models, and what the service lets a request to each of them ask for.

Source: the pages "What's new" and "Migration guide" of the models at https://platform.claude.com/docs/en/models,
and "Preserved thinking" for who reads whose thinking, in their state of November 2026.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

ALL_EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True)
class Family:
    """What the models of one family take. `thinking` are the types that the field of that name may have.

    `thinks` says that answers begin with thinking unless a request asks otherwise, `binds` that a thinking
    block is held against all that stood before it. `context` is in tokens; None where it is not known.
    """

    name: str = ""
    thinks: bool = False
    binds: bool = False
    thinking: tuple[str, ...] = ("adaptive", "enabled", "disabled", "between_tools")
    efforts: tuple[str, ...] = ALL_EFFORTS
    forced_tools: bool = True
    sampling: bool = True
    prefill: bool = True
    system_messages: bool = True
    context: int | None = None

    def takes_requests_for(self, other: Family) -> bool:
        """Whether the requests that a CLI makes for another family's model can be sent to one of this.

        It asks for adaptive thinking, and speaks by system messages, where the model it knows has them.
        """
        thinks = "adaptive" in self.thinking or "adaptive" not in other.thinking
        return thinks and (self.system_messages or not other.system_messages)


UNKNOWN = Family()
"""A model that is in no family: only the rules that hold for all models hold for it."""

_BINDING = Family(
    thinks=True,
    binds=True,
    thinking=("adaptive",),
    forced_tools=False,
    sampling=False,
    prefill=False,
    context=1_000_000,
)
_GEN_5 = replace(_BINDING, binds=False, thinking=("adaptive", "disabled"), forced_tools=True)
_GEN_4_7 = replace(_GEN_5, thinks=False, system_messages=False)
_GEN_4_6 = replace(
    _GEN_4_7,
    thinking=("adaptive", "enabled", "disabled"),
    efforts=("low", "medium", "high", "max"),
    sampling=True,
)
_GEN_4 = replace(_GEN_4_6, thinking=("enabled", "disabled"), efforts=(), prefill=True, context=200_000)

FAMILIES: Mapping[str, Family] = {
    name: replace(family, name=name)
    for name, family in {
        "claude-fable-5-2": _BINDING,
        "claude-fable-5-1": _BINDING,
        "claude-opus-5-5": _BINDING,
        "claude-sonnet-5-5": replace(_BINDING, thinking=("adaptive", "between_tools")),
        "claude-haiku-5-5": replace(_BINDING, thinking=("adaptive", "disabled"), forced_tools=True),
        "claude-fable-5": replace(_GEN_5, thinking=("adaptive",)),
        "claude-opus-5": _GEN_5,
        "claude-sonnet-5": replace(_GEN_5, system_messages=False),
        "claude-opus-4-8": replace(_GEN_4_7, system_messages=True),
        "claude-opus-4-7": _GEN_4_7,
        "claude-opus-4-6": _GEN_4_6,
        "claude-sonnet-4-6": _GEN_4_6,
        "claude-opus-4-5": replace(_GEN_4, efforts=("low", "medium", "high")),
        "claude-sonnet-4-5": _GEN_4,
        "claude-haiku-4-5": _GEN_4,
        "claude-opus-4-1": _GEN_4,
        "claude-opus-4": _GEN_4,
        "claude-sonnet-4": _GEN_4,
    }.items()
}

_ALSO_READS: Mapping[str, tuple[str, ...]] = {
    "claude-fable-5-2": ("claude-fable-5-1", "claude-opus-5-5"),
    "claude-fable-5-1": ("claude-fable-5-2", "claude-opus-5-5"),
}
"""Of the families that bind their thinking: whose blocks they read besides their own."""

_READS_ITS_OWN, _READ_BY_ALL = "claude-haiku-5-5", "claude-haiku-5-5"

_OTHER_VERSION = re.compile(r"\w|\.|-\d{1,2}(?!\d)")


def family_of(model: str) -> Family:
    """Find the family by the longest beginning of the id; a date or a suffix may follow, but no version."""
    for name in sorted(FAMILIES, key=len, reverse=True):
        if model.startswith(name):
            return UNKNOWN if _OTHER_VERSION.match(model, len(name)) else FAMILIES[name]
    return UNKNOWN


def reads(reader: Family, writer: Family) -> bool:
    """Whether one model can use another's thinking. The service drops a block of which this is not true."""
    if writer.name in (reader.name, _READ_BY_ALL):
        return True
    if reader.name == _READS_ITS_OWN:
        return False
    return not writer.binds or writer.name in _ALSO_READS.get(reader.name, ())
