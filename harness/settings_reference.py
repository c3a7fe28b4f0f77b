"""The settings in words, made from the model itself: the reference page and the file for a new project.

python -m harness.settings_reference > docs/settings.md
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from harness.content import SETTINGS_FILE
from harness.pricing import PRICES_AS_OF, Price
from harness.sections import HttpServer, StdioServer
from harness.settings import CHILD_ENVIRONMENT, ENVIRONMENT, OWN_PREFIXES, SECRETS, Settings

_INTRO = f"""\
# Settings

Settings come from four places; the later wins: the defaults, `{SETTINGS_FILE}` in the project folder, the
environment, and what is said on the command line. The project folder is the nearest one upwards that holds a
`{SETTINGS_FILE}`. A key that is not listed here is refused, with the file and the nearest key that exists.

This page is made from the code: `python -m harness.settings_reference > docs/settings.md`.
"""

_EXAMPLE = """\
```toml
[mcp_servers.papers]
command = "papers-server"
args = ["--quiet"]
env = { PAPERS_TOKEN = "${PAPERS_TOKEN}" }

[mcp_servers.wiki]
url = "https://wiki.example.com/mcp"

[hooks]
order = ["house_rules"]

[hooks.options.house_rules]
strict = true

[prices."papers-llm-2"]
input = 0.5
output = 1.5
```
"""

_PRICES = f"""\
{Price.__doc__} They take the place of the list prices of {PRICES_AS_OF}, or stand beside them.
`<model>` is a model's id or its beginning, up to a date or another suffix; a further version number is
another model."""


def page() -> str:
    """Give the reference page, in Markdown."""
    parts = [_INTRO, "## General\n", _table("", Settings)]
    for name, field in Settings.model_fields.items():
        if (section := _section(field)) is not None:
            parts += [f"## `[{name}]`\n\n{section.__doc__}\n", _table(f"{name}.", section)]
    for heading, server in (("`command`", StdioServer), ("`url`", HttpServer)):
        parts += [f"## `[mcp_servers.<name>]` with {heading}\n\n{server.__doc__}\n", _table("", server)]
    parts += [f'## `[prices."<model>"]`\n\n{_PRICES}\n', _table("", Price)]
    parts += ["## Example\n", _EXAMPLE, "## What an agent's process inherits\n", _inherited()]
    return "\n".join(parts)


def template() -> str:
    """Give the `harness.toml` of a new project: every setting with its default, commented out."""
    lines = ["# What is commented out is the default. All settings: docs/settings.md", ""]
    lines += _assignments("", Settings)
    for name, field in Settings.model_fields.items():
        if (section := _section(field)) is not None:
            lines += [f"[{name}]", *_assignments(f"{name}.", section)]
    return "\n".join(lines).rstrip() + "\n"


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if _section(field) is None and field.description:
            yield f"{prefix}{field.alias or name}", field


def _table(prefix: str, model: type[BaseModel]) -> str:
    lines = ["| key | type | default | variable | meaning |", "|---|---|---|---|---|"]
    variables = {key: variable for variable, key in ENVIRONMENT.items()}
    for key, field in _rows(prefix, model):
        variable = f"`{variables[key]}`" if key in variables else ""
        name = key.removeprefix(prefix)
        lines.append(
            f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {variable} | {field.description} |"
        )
    return "\n".join(lines) + "\n"


def _assignments(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    for key, field in _rows(prefix, model):
        if key not in SECRETS:
            value = _toml(field)
            yield f"# {field.description}"
            yield f"# {key.removeprefix(prefix)} = {value}"
            yield ""


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _type(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in arguments)
    if origin is tuple:
        return "list of text"
    if origin is dict:
        return "table"
    if NoneType in arguments:
        return _type(next(kind for kind in arguments if kind is not NoneType))
    names: dict[Any, str] = {bool: "yes or no", int: "whole number", float: "number", Path: "folder"}
    return names.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is PydanticUndefined:
        return "by system" if field.annotation is Path else "none"
    return "none" if field.default in (None, ()) else f"`{_toml(field)}`"


def _toml(field: FieldInfo) -> str:
    match field.default:
        case None:
            return '"..."'
        case tuple() as several:
            return json.dumps(several)
        case default if default is PydanticUndefined:
            return '"..."' if field.annotation is Path else "{}"
        case default:
            return json.dumps(default)


def _inherited() -> str:
    names = ", ".join(f"`{name}`" for name in sorted(CHILD_ENVIRONMENT))
    own = ", ".join(f"`{prefix}*`" for prefix in OWN_PREFIXES)
    return (
        f"Only {names} and every `LC_*`. Whatever else is in your environment, keys above all, is withheld\n"
        "from agents and their tools; give an MCP server what it needs in its `env`.\n\n"
        f"With `--direct` an agent needs your own login and keeps your environment, except {own}.\n"
    )


if __name__ == "__main__":
    print(page(), end="")
