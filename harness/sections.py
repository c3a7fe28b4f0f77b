"""The sections of the settings: every field says what it means, for docs/settings.md is made from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Discriminator, Field, SecretStr, Tag, field_validator

from harness.records import Record


def http_url(value: str) -> str:
    """Give a URL of a server, without a slash at its end. Raises ValueError when it is none."""
    problem = "should be a URL that begins with http:// or https://"
    if not re.match(r"https?://[^/\s]+", value):
        raise ValueError(problem)
    try:
        parts = urlsplit(value)
        usable = parts.port != 0 and (parts.hostname or "").encode("idna")
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{problem} and has a valid host and port")
    return value.rstrip("/")


def _folder(value: Path) -> Path:
    return value.expanduser().absolute()


def header_pairs(text: str) -> dict[str, str]:
    """Read `name=value,name=value`, as OpenTelemetry writes headers: values are percent-encoded.

    Raises ValueError, without the text: it holds secrets.
    """
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in pair.partition("="))
        value = unquote(value)
        if not (sign and re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII) and value.isprintable()):
            raise ValueError("should be name=value,name=value")
        found[name.lower()] = value
    return found


def _headers(value: SecretStr) -> SecretStr:
    header_pairs(value.get_secret_value())
    return value


def _model_id(value: str) -> str:
    if not re.fullmatch(r"\S+", value):
        raise ValueError("should be a model's id, without spaces")
    return value


Headers = Annotated[SecretStr, AfterValidator(_headers)]
Url = Annotated[str, AfterValidator(http_url)]
Folder = Annotated[Path, AfterValidator(_folder)]
ModelId = Annotated[str, AfterValidator(_model_id)]


def _without_version(value: str) -> str:
    # Guides to other services give their base URLs with it; the Messages API's path begins with it.
    return value.removesuffix("/v1").rstrip("/")


class Upstream(Record):
    """Where the gateway sends model calls."""

    base_url: Annotated[Url, AfterValidator(_without_version)] = Field(
        default="https://api.anthropic.com",
        description="The Messages API, or a compatible endpoint; `/v1` at its end is left out.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="The key, from the environment only. Agents' processes never see it."
    )


class Models(Record):
    """Which model plays which part. A bundle names a part, or a model outright."""

    lead: str = Field(
        default="claude-opus-5-5", description="Plans, delegates, weighs the results and writes the report."
    )
    research: str = Field(default="claude-sonnet-5-5", description="Searches and reads.")
    checking: str = Field(default="claude-sonnet-5-5", description="Checks claims and citations.")
    writing: str = Field(default="claude-sonnet-5-5", description="Edits and merges texts.")
    routing: str = Field(
        default="claude-haiku-5-5", description="Makes small typed decisions about where work goes."
    )
    fallback: ModelId | None = Field(
        default=None,
        description="The id of a model that answers a call whose own stays overloaded or is not there.",
    )
    fallback_on_refusal: bool = Field(
        default=False,
        description="Whether the fallback also answers what an agent's own model declines to answer.",
    )

    @field_validator("fallback")
    @classmethod
    def _no_part(cls, value: str | None) -> str | None:
        if value in cls.model_fields:
            raise ValueError("should be a model's id, not one of the parts")
        return value

    def named(self, role_or_id: str) -> str:
        """Give the model of a part; anything that is no part is taken for a model's id."""
        return str(getattr(self, role_or_id)) if role_or_id in MODEL_ROLES else role_or_id


MODEL_ROLES = tuple(name for name in Models.model_fields if not name.startswith("fallback"))
"""The parts a model can play."""


class SessionLimits(Record):
    """Where work stops. Steps and time are for each agent run whose bundle sets no such limit of its own."""

    max_cost_usd: float | None = Field(
        default=10.0, gt=0, description="US dollars a session may cost at list prices."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Tokens a session may use in all, cached ones included."
    )
    max_steps: int | None = Field(
        default=30, ge=1, description="Steps of an agent run: model calls that offer its tools."
    )
    agent_timeout_s: float | None = Field(
        default=1800.0,
        gt=0,
        description="Seconds of an agent run's own work; waiting for subagents is left out.",
    )
    max_concurrent: int = Field(
        default=4, ge=1, description="Agent runs of a session that may work at the same time."
    )
    silent_s: float = Field(
        default=900.0,
        gt=0,
        description="Seconds without a sign of life after which an agent run is ended; of the model service: "
        "after which a call is given up and the session suspended.",
    )
    tool_silent_s: float = Field(
        default=7200.0, gt=0, description="The same while a tool runs; tools have timeouts of their own."
    )
    stop_grace_s: float = Field(
        default=60.0,
        ge=0,
        description="Seconds that agents get to reach their next model call when a worker stops or a session "
        "is paused; tools that take longer are cut off.",
    )
    max_fixes: int = Field(
        default=2,
        ge=0,
        description="How often an answer that fails its schema or checks is sent back, if no gate says it.",
    )
    max_delegations: int = Field(
        default=20, ge=1, description="Tasks that may be delegated in a session, all rounds together."
    )


class Workers(Record):
    """How `harness worker` takes sessions up."""

    concurrency: int = Field(
        default=4, ge=1, le=1000, description="Sessions that a worker advances at the same time."
    )
    queues: tuple[str, ...] = Field(
        default=("default",), min_length=1, description="The queues whose sessions it takes."
    )
    poll_s: float = Field(
        default=1.0,
        gt=0,
        description="Seconds after which it looks for due sessions again, when nobody has told it of one.",
    )
    share_after_s: float = Field(
        default=30.0,
        gt=0,
        description="Seconds that a tenant with nothing at work waits before another's session makes room.",
    )
    max_tries: int = Field(
        default=10,
        ge=1,
        description="How often in a row a session is taken up without getting on (docs/workers.md).",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Where a worker serves its metrics to Prometheus; 0 takes a free port, none serves none.",
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="The address it serves them at; `0.0.0.0` lets others read them, with no password.",
    )


class StdioServer(Record):
    """An MCP server that is started as a process."""

    type: Literal["stdio"] = Field(default="stdio", description="How the server is reached.")
    command: str = Field(min_length=1, description="The program to start.")
    args: tuple[str, ...] = Field(
        default=(), description="Its arguments, which any local user can read; secrets belong into `env`."
    )
    env: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Added to its environment; `${NAME}` is filled in from yours.",
    )


class HttpServer(Record):
    """An MCP server that is reached by URL."""

    type: Literal["http", "sse"] = Field(default="http", description="How the server is reached.")
    url: Url = Field(description="Its address.")
    headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Headers to send; `${NAME}` is filled in from your environment.",
    )


def _transport(value: Any) -> str:
    given = value if isinstance(value, Mapping) else {"url": getattr(value, "url", None)}
    return "http" if given.get("url") or given.get("type") in ("http", "sse") else "stdio"


McpServer = Annotated[
    Annotated[StdioServer, Tag("stdio")] | Annotated[HttpServer, Tag("http")], Discriminator(_transport)
]


class Hooks(Record):
    """Which hook plugins run, in which order, with which options."""

    disabled: tuple[str, ...] = Field(default=(), description="Hooks that do not run.")
    order: tuple[str, ...] = Field(
        default=(), description="Hooks that run first, in this order; the others follow by their own `order`."
    )
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Options for each hook, by its name."
    )
    deadline_s: float = Field(
        default=60.0,
        gt=0,
        description="Seconds a hook may take. A guarding hook that takes longer stops the tool.",
    )


class Web(Record):
    """How the toolset `web` fetches pages."""

    allow_private: bool = Field(
        default=False, description="Whether addresses of this machine and of private networks may be fetched."
    )
    timeout_s: float = Field(default=30.0, gt=0, description="Seconds a page may take, redirects included.")
    max_bytes: int = Field(default=10_000_000, ge=1000, description="Bytes of the largest page that is read.")


def _environment(value: str) -> str:
    # The server's own rule: see "Environments" in Langfuse's documentation of tracing.
    if not re.fullmatch(r"(?!langfuse)[a-z0-9_-]{1,40}", value):
        raise ValueError("should be up to 40 of a-z, 0-9, _ and -, and not begin with 'langfuse'")
    return value


MOST_TAGS = 20
"""Tags of one session: each of its spans carries all of them."""


def checked_tag(value: str) -> str:
    """Give a tag of a trace. Raises ValueError when it is none."""
    # Langfuse drops tags that are longer: see "Tags" in its documentation of tracing.
    if not 0 < len(value) <= 200 or not value.isprintable() or value != value.strip():
        raise ValueError("should be a text of up to 200 characters on one line")
    return value


TraceTag = Annotated[str, AfterValidator(checked_tag)]
"""What a trace is found by."""


class Tracing(Record):
    """What is kept of each step, and which other receiver than Langfuse gets it."""

    enabled: bool = Field(default=True, description="Whether steps are kept as spans.")
    capture: Literal["full", "metadata", "none"] = Field(
        default="full",
        description="What spans keep of content: all but secrets, sizes and hashes only, or nothing.",
    )
    max_chars: int = Field(
        default=32_000,
        ge=100,
        description="Characters a span keeps of an input or output; the rest is cut. For chats see below.",
    )
    max_chat_bytes: int = Field(
        default=131_072,
        ge=8_000,
        description="Bytes that a model call's span may take, with its chat (input, output and tools) under "
        "all names. The oldest turns are left out first.",
    )
    export: bool = Field(
        default=True,
        description="Whether ended spans are sent while a session is at work; else by `harness trace flush`.",
    )
    environment: Annotated[str, AfterValidator(_environment)] = Field(
        default="default",
        description="The environment that traces are filed under, for instance `production`.",
    )
    tags: tuple[TraceTag, ...] = Field(
        default=(),
        max_length=MOST_TAGS,
        description="Tags of new sessions' traces, each of up to 200 characters. The flow and the way to the "
        "model are tags anyway.",
    )
    otlp_url: Url | None = Field(
        default=None, description="An OpenTelemetry receiver (OTLP over HTTP) to send to instead of Langfuse."
    )
    otlp_headers: Headers | None = Field(
        default=None, description="Headers for it, as `name=value,name=value`, from the environment only."
    )


class Logs(Record):
    """The log as JSON lines, a file for each day in `logs/` of the home folder; stderr is told as ever."""

    json_lines: bool = Field(
        default=False,
        alias="json",
        description="Whether the log is kept, for every command; `--log-json` does so for one.",
    )
    keep_days: int = Field(default=14, ge=1, description="Days after which a log file is removed.")


class Housekeeping(Record):
    """How long what is done is kept. `harness prune` without options acts on it; without it nothing goes."""

    keep_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which a session that is done, failed or cancelled is pruned; else never.",
    )
    span_days: int | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="Days after which the spans of such a session, once sent, are dropped; else with it.",
    )


class Langfuse(Record):
    """Where ended spans are exported to. Without both keys nothing is exported."""

    base_url: Url = Field(default="https://cloud.langfuse.com", description="The Langfuse server.")
    public_key: str | None = Field(default=None, pattern=r"^[!-~]+$", description="The project's public key.")
    secret_key: SecretStr | None = Field(
        default=None, description="The project's secret key, from the environment only."
    )
