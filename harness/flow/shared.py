"""The state a flow declares: typed fields, how writes come together in each, and who may write it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from harness.records import Record

Reducer = Literal["replace", "append", "union", "sum", "merge"]
"""The newest value; a list's items in order; the same without repetitions; numbers added; keys merged."""

Kind = Literal["text", "number", "boolean", "list", "object"]

EMPTY: Mapping[Kind, Any] = {"text": "", "number": 0, "boolean": False, "list": [], "object": {}}

_FITS: Mapping[Reducer, frozenset[Kind]] = {
    "replace": frozenset(EMPTY),
    "append": frozenset({"list"}),
    "union": frozenset({"list"}),
    "sum": frozenset({"number"}),
    "merge": frozenset({"object"}),
}

_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "text": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "list": (list,),
    "object": (dict,),
}


class StateField(Record):
    """One field of the state. `writers` are labels of nodes; None lets any node write it."""

    kind: Kind
    reducer: Reducer = "replace"
    writers: tuple[str, ...] | None = None
    description: str = ""


def misfit(name: str, field: StateField) -> str | None:
    """Say why a declared field cannot work, if it cannot."""
    if field.kind not in _FITS[field.reducer]:
        return f"state.{name}: a field of kind '{field.kind}' cannot be reduced by '{field.reducer}'"
    return None


def wrong_write(state: Mapping[str, StateField], writer: str, name: str, value: Any) -> str | None:
    """Say why a value may not be written, if it may not: undeclared field, writer, or type."""
    field = state.get(name)
    if field is None:
        known = ", ".join(state) or "none"
        return f"The state has no field '{name}'; it declares {known}."
    if field.writers is not None and writer not in field.writers:
        return f"'{writer}' may not write the state's field '{name}'; {', '.join(field.writers)} may."
    fits = isinstance(value, _TYPES[field.kind]) and (field.kind == "boolean" or not isinstance(value, bool))
    if not fits:
        return f"The state's field '{name}' is a {field.kind}, and got a {type(value).__name__}."
    return None


def reduce(field: StateField, values: Iterable[Any]) -> Any:
    """Bring the values written to one field together, in the order in which they are given."""
    result: Any = EMPTY[field.kind]
    for value in values:
        match field.reducer:
            case "replace":
                result = value
            case "append":
                result = [*result, *value]
            case "union":
                result = [*result, *(item for item in value if item not in result)]
            case "sum":
                result = result + value
            case "merge":
                result = {**result, **value}
    return result
