"""Settings: defaults, then `harness.toml`, then the environment, then explicit options; the later wins.

This is the only file that reads the environment. Every field says what it means: docs/settings.md and the
file that `harness init` writes are made from these descriptions.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, SecretStr, ValidationError

from harness import known_secrets as secrets
from harness.content import SETTINGS_FILE
from harness.errors import BadSettings
from harness.pricing import PRICES, Price
from harness.records import Record
from harness.sections import (
    Folder,
    Hooks,
    Housekeeping,
    Langfuse,
    Logs,
    McpServer,
    ModelId,
    Models,
    SessionLimits,
    StdioServer,
    Tracing,
    Upstream,
    Web,
    Workers,
)
from harness.wording import problems, sentence

ENVIRONMENT: Mapping[str, str] = {
    "HARNESS_HOME": "home",
    "HARNESS_DSN": "dsn",
    "HARNESS_TENANT": "tenant",
    "ANTHROPIC_BASE_URL": "upstream.base_url",
    "ANTHROPIC_API_KEY": "upstream.api_key",
    "HARNESS_METRICS_PORT": "worker.metrics_port",
    "HARNESS_METRICS_HOST": "worker.metrics_host",
    "LANGFUSE_PUBLIC_KEY": "langfuse.public_key",
    "LANGFUSE_SECRET_KEY": "langfuse.secret_key",
    "LANGFUSE_HOST": "langfuse.base_url",
    "LANGFUSE_BASE_URL": "langfuse.base_url",
    "OTEL_EXPORTER_OTLP_HEADERS": "tracing.otlp_headers",
}
"""The variables that are read, and the setting each one gives. An empty variable counts as absent."""

SECRETS = ("upstream.api_key", "langfuse.secret_key", "tracing.otlp_headers")
"""Settings that come from the environment or from the caller, never from a file that may be committed."""

RESERVED_SERVERS = ("harness", "corpus", "web", "files", "board")
"""Names of the harness's own toolsets, which an MCP server cannot take."""

CHILD_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "PWD", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LANGUAGE", "TZ"}
    | {"LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"}
)
"""What an agent's CLI may inherit, beside every LC_*. No proxies: the CLI talks to the gateway on loopback
only, a proxy would take that traffic away, and its URL may hold a password."""

OWN_PREFIXES = ("HARNESS_", "LANGFUSE_", "OTEL_", "PG")
"""How the variables begin that concern the harness and its store alone."""

_SERVER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_TRANSPORT_TAG = re.compile(r"^(mcp_servers\.[^.]+)\.(?:stdio|http)\b")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def default_home() -> Path:
    """Give the user's data folder; for root a folder that the unprivileged Postgres user can reach too."""
    return (
        Path("/var/lib/subagent-harness")
        if os.geteuid() == 0
        else platformdirs.user_data_path("subagent-harness")
    )


class Settings(Record):
    """Everything that can be set."""

    home: Folder = Field(
        default_factory=default_home,
        description="Where the embedded Postgres and working files live (root: `/var/lib/subagent-harness`).",
    )
    dsn: SecretStr | None = Field(
        default=None, description="A Postgres of your own instead of the embedded one."
    )
    tenant: str = Field(default="default", min_length=1, description="Whose sessions these are.")
    result_limit: int = Field(
        default=20_000,
        ge=1000,
        le=45_000,
        description="Characters of a tool's result an agent is given at once; it can read on.",
    )
    lease_ttl_s: float = Field(
        default=30.0, ge=1, description="Seconds after which a silent process loses its session to another."
    )
    record: bool = Field(
        default=False,
        description="Whether model calls are recorded, request and answer, for `harness replay`.",
    )
    workspace: Folder | None = Field(
        default=None, description="The folder in which the toolset `files` reads; else the project folder."
    )
    upstream: Upstream = Field(default_factory=Upstream)
    models: Models = Field(default_factory=Models)
    limits: SessionLimits = Field(default_factory=SessionLimits)
    worker: Workers = Field(default_factory=Workers)
    hooks: Hooks = Field(default_factory=Hooks)
    web: Web = Field(default_factory=Web)
    tracing: Tracing = Field(default_factory=Tracing)
    langfuse: Langfuse = Field(default_factory=Langfuse)
    logs: Logs = Field(default_factory=Logs)
    housekeeping: Housekeeping = Field(default_factory=Housekeeping)
    mcp_servers: dict[str, McpServer] = Field(default_factory=dict)
    prices: dict[ModelId, Price] = Field(default_factory=dict)

    @property
    def price_table(self) -> Mapping[str, Price]:
        """The list prices, with those of the settings in their place or beside them."""
        return {**PRICES, **self.prices}


def from_environment(
    project: Path | None = None,
    options: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings of a project folder.

    `options` are the caller's, by dotted key (`{"limits.max_cost_usd": 2.0}`); None means not given.
    `environ` stands in for the process's environment.

    Raises:
        BadSettings: naming the file, variable or option, the key, and what is wrong with it.
    """
    environ = os.environ if environ is None else environ
    file = project / SETTINGS_FILE if project is not None else None
    values = _read(file) if file is not None and file.is_file() else {}
    given_by: dict[str, str] = {}
    for variable, key in ENVIRONMENT.items():
        if environ.get(variable):
            _put(values, key, environ[variable], f"the variable {variable}", given_by)
    for key, value in (options or {}).items():
        if value is not None:
            _put(values, key, value, "an option", given_by)
    _fill_in_variables(values, environ, file)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise BadSettings(_refusal(problems(error, Settings), file, given_by)) from error
    for name in settings.mcp_servers:
        if name in RESERVED_SERVERS or not _SERVER_NAME.fullmatch(name):
            why = "is a toolset of the harness" if name in RESERVED_SERVERS else "is no plain name"
            raise BadSettings(f"{file}: mcp_servers.{name}: '{name}' {why}; give the server another name.")
    return settings


def dropped_from_child(direct: bool = False, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Name every variable of the environment that an agent's process must not inherit, sorted.

    A `direct` agent calls the model with the person's own login, whose variables it keeps; the harness's own
    secrets it does not get either.
    """
    names = os.environ if environ is None else environ
    if direct:
        return tuple(sorted(name for name in names if name.startswith(OWN_PREFIXES)))
    return tuple(
        sorted(name for name in names if name not in CHILD_ENVIRONMENT and not name.startswith("LC_"))
    )


def known_secrets(settings: Settings | None, environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Give every value that is known to be a secret: of the settings, and of the process's environment.

    Without `settings` only the environment is looked at. The values are those a `Redactor` takes.
    """
    found = set(secrets.of_variables(os.environ if environ is None else environ))
    if settings is None:
        return frozenset(found)
    for outright in (settings.upstream.api_key, settings.langfuse.secret_key):
        found |= {outright.get_secret_value()} if outright else set()
    if settings.dsn is not None:
        found.update(secrets.passwords(settings.dsn.get_secret_value()))
    if settings.tracing.otlp_headers is not None:
        found.update(secrets.of_headers(settings.tracing.otlp_headers.get_secret_value()))
    for server in settings.mcp_servers.values():
        entries = server.env if isinstance(server, StdioServer) else server.headers
        found.update(secrets.of_table({name: value.get_secret_value() for name, value in entries.items()}))
    return frozenset(found)


def armed_crash_point() -> str:
    """The crash point that a test has armed (see `harness.crashpoints`); empty outside tests."""
    return os.environ.get("HARNESS_CRASH_AT", "")


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{file} is not valid TOML; mend it: {error}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{file} cannot be read as UTF-8 text: {error}.") from error
    for key in SECRETS:
        section, name = key.split(".")
        if isinstance(values.get(section), dict) and name in values[section]:
            variable = next(variable for variable, given in ENVIRONMENT.items() if given == key)
            raise BadSettings(
                f"{file}: {key} does not belong in a file; remove it and set {variable} instead."
            )
    for key in ("home", "workspace"):
        if isinstance(values.get(key), str):
            values[key] = file.parent / Path(values[key]).expanduser()
    return values


def _put(values: dict[str, Any], key: str, value: object, giver: str, given_by: dict[str, str]) -> None:
    *sections, name = key.split(".")
    for section in sections:
        below = values.setdefault(section, {})
        if not isinstance(below, dict):
            return  # the file has something else there, which validation will name
        values = below
    values[name] = value
    given_by[key] = giver


def _fill_in_variables(values: Mapping[str, Any], environ: Mapping[str, str], file: Path | None) -> None:
    servers = values.get("mcp_servers")
    for server, config in servers.items() if isinstance(servers, dict) else ():
        for table in ("env", "headers"):
            entries = config.get(table) if isinstance(config, dict) else None
            if not isinstance(entries, dict):
                continue
            for name, value in entries.items():
                if not isinstance(value, str):
                    continue
                if unset := [variable for variable in _VARIABLE.findall(value) if not environ.get(variable)]:
                    key = f"mcp_servers.{server}.{table}.{name}"
                    raise BadSettings(f"{file}: {key}: the variable {unset[0]} is not set; export it first.")
                entries[name] = _VARIABLE.sub(lambda found: environ[found[1]], value)


def _refusal(found: list[tuple[str, str]], file: Path | None, given_by: Mapping[str, str]) -> str:
    found = [(_TRANSPORT_TAG.sub(r"\1", path), what) for path, what in found]
    places = {given_by.get(path, str(file)) for path, _ in found}
    return f"{' and '.join(sorted(places))}: {sentence(found)}."
