"""The options that every command takes after its name, and those that several share."""

from __future__ import annotations

import functools
import math
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from harness.cli import logs
from harness.cli.lazy import importing
from harness.content import find_project
from harness.errors import BadInput
from harness.redaction import Redactor
from harness.settings import Settings, from_environment, known_secrets

if TYPE_CHECKING:
    from harness.library import Harness

Function = Callable[..., Any]


@dataclass(frozen=True)
class Common:
    """What every command is told: whose sessions, in which database, by which project, and how to answer."""

    dsn: str | None
    tenant: str | None
    project: Path | None
    as_json: bool
    log_json: bool = False

    @property
    def folder(self) -> Path:
        """The project folder."""
        return self.project or find_project(Path.cwd())

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        settings = from_environment(self.folder, self._options)
        logs.follow(settings, Redactor(known_secrets(settings)))
        return settings

    def harness(self) -> Harness:
        """Open the library; BadInput says what of the project does not load."""
        with importing():
            from harness.library import Harness  # here, because importing the SDK takes a second

        harness = Harness(project=self.folder, options=self._options)
        logs.follow(harness.settings, harness.redactor)
        return harness

    def command(self, verb: str, session_id: str) -> str:
        """Write the command that does something with this session from here; a DSN stays out of sight."""
        words = ["harness", verb, session_id]
        words += ["--tenant", self.tenant] if self.tenant else []
        words += ["--project", str(self.project)] if self.project else []
        return shlex.join(words) + (" --dsn DSN" if self.dsn else "")

    @property
    def _options(self) -> dict[str, object]:
        return {"dsn": self.dsn, "tenant": self.tenant, "logs.json": self.log_json or None}


def _not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; give a value, or leave the option out")
    return value


def _debug(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        logs.show_all()


def common(function: Function) -> Function:
    """Add the options of every command; they arrive as one `Common`, the first argument."""

    @click.option("--dsn", callback=_not_empty, help="A Postgres of your own instead of the embedded one.")
    @click.option("--tenant", callback=_not_empty, help="Whose sessions these are.")
    @click.option(
        "--project",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="The project folder; by default the nearest one upwards that has a harness.toml.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Answer in JSON on stdout.")
    @click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_debug,
        help="Show what is logged.",
    )
    @click.option("--log-json", is_flag=True, help="Keep what is logged as JSON lines in a file.")
    @functools.wraps(function)
    def wrapper(
        *args: Any, dsn: Any, tenant: Any, project: Any, as_json: Any, log_json: Any, **kwargs: Any
    ) -> Any:
        return function(Common(dsn, tenant, project, as_json, log_json), *args, **kwargs)

    return wrapper


class _Dollars(click.ParamType[float]):
    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if not (math.isfinite(amount) and amount > 0):
            self.fail(f"'{value}' is no amount of US dollars above zero, like 2.50", param, ctx)
        return amount


class _Text(click.ParamType[str]):
    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            str(value).encode()
        except UnicodeEncodeError:
            self.fail("it holds bytes that are no UTF-8 text; type it again", param, ctx)
        return str(value)


TEXT = _Text()
"""A text that can be stored: a terminal may hand over any bytes."""


def bounds(function: Function) -> Function:
    """Add the options that bound the work of a session."""
    for option in (
        click.option("--budget-usd", type=_Dollars(), help="US dollars the session may cost in all."),
        click.option(
            "--budget-tokens",
            type=click.IntRange(min=1),
            help="Tokens the session may use in all, cached ones included.",
        ),
        click.option("--max-concurrent", type=click.IntRange(min=1), help="Agents at work at the same time."),
    ):
        function = option(function)
    return function


def placing(function: Function) -> Function:
    """Add the options that say where a session waits for a worker."""
    for option in (
        click.option(
            "--priority",
            type=click.IntRange(-1_000_000, 1_000_000),
            default=0,
            show_default=True,
            help="Of your sessions that wait, those with a higher number go first.",
        ),
        click.option(
            "--queue", metavar="NAME", default="default", show_default=True, help="Which workers take it."
        ),
    ):
        function = option(function)
    return function


def edit(function: Function) -> Function:
    """Add `--edit`; the edits arrive as `edits`, by path."""

    @click.option(
        "--edit",
        "given",
        multiple=True,
        type=TEXT,
        metavar="PATH=VALUE",
        help="Change the event at the point, in the fork: a dotted path into it, and JSON or plain text.",
    )
    @functools.wraps(function)
    def wrapper(*args: Any, given: tuple[str, ...], **kwargs: Any) -> Any:
        return function(*args, edits=_edits(given), **kwargs)

    return wrapper


def _edits(given: tuple[str, ...]) -> dict[str, str]:
    edits: dict[str, str] = {}
    for each in given:
        path, equals, value = each.partition("=")
        if not (path.strip() and equals):
            raise BadInput(f"--edit '{each}' is no edit; write it as PATH=VALUE, like question=Why?")
        if path.strip() in edits:
            raise BadInput(f"--edit {path.strip()} is given twice; give each path once.")
        edits[path.strip()] = value
    return edits


def recording(function: Function) -> Function:
    """Add `--record`; it arrives as True, or as None: as the settings say."""
    return click.option(
        "--record",
        is_flag=True,
        default=None,
        help="Record model calls, request and answer, so that `harness replay` can run the session again.",
    )(function)


@dataclass(frozen=True)
class Out:
    """The file that `option` names to write to; checked before anything starts."""

    path: Path
    force: bool
    option: str = "--out"

    def check(self) -> None:
        """Refuse a place that cannot be written to, or what is there already."""
        folder = self.path.absolute().parent
        if self.path.is_dir():
            raise BadInput(f"{self.option} {self.path} is a folder; name a file in it.")
        if self.path.exists() and not self.force:
            raise BadInput(f"{self.option} {self.path} exists already; choose another file, or add --force.")
        if not folder.is_dir():
            raise BadInput(f"{self.option} {self.path}: there is no folder {folder}; make it first.")
        if not os.access(folder, os.W_OK):
            raise BadInput(
                f"{self.option} {self.path}: the folder {folder} cannot be written to; choose another."
            )

    def write(self, text: str) -> None:
        """Put the whole file there at once.

        Raises:
            BadInput: it cannot be written, or has appeared in the meantime.
        """
        with self.opened() as file:
            file.write(text.encode("utf-8", errors="backslashreplace"))

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Give a file to write to, which takes its place when the block has ended well; raises as `write`."""
        self.check()
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        try:
            with draft.open("wb") as file:
                yield file
            draft.replace(self.path)
        except OSError as problem:
            raise BadInput(f"{self.option} {self.path} cannot be written: {problem.strerror}.") from problem
        finally:
            draft.unlink(missing_ok=True)


def out(function: Function) -> Function:
    """Add `--out` and `--force`; they arrive checked, as one `Out` or None."""

    @click.option("--out", "path", type=click.Path(path_type=Path), help="Write the report to this file.")
    @click.option("--force", is_flag=True, help="Let --out overwrite the file.")
    @functools.wraps(function)
    def wrapper(*args: Any, path: Path | None, force: bool, **kwargs: Any) -> Any:
        chosen = Out(path, force) if path else None
        if chosen is not None:
            chosen.check()
        return function(*args, out=chosen, **kwargs)

    return wrapper
