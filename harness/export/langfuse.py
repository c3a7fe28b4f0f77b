"""Langfuse's REST API: whether the keys are good, where a trace is seen, and scores.

This is the only file that touches the package `langfuse`, and it imports it when it is needed: that takes a
third of a second. Of the package it uses the typed REST client, not the one for tracing, which starts
threads, sets a tracer provider for the whole process and does not say what was lost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

import truststore

from harness.errors import HarnessError
from harness.export.langfuse_version import fitness
from harness.records import Record
from harness.settings import Settings
from harness.tracing.scores import Score
from harness.tracing.span import trace_id

if TYPE_CHECKING:
    from langfuse.api.core.api_error import ApiError
    from langfuse.api.health.types.health_response import HealthResponse
    from langfuse.api.projects.types.project import Project
    from langfuse.api.projects.types.projects import Projects
    from langfuse.api.scores.types.create_score_request import CreateScoreRequest

log = logging.getLogger(__name__)

ADDRESS_WITHIN_S = 3.0
CHECK_WITHIN_S = 10.0

_ONCE: Any = {"max_retries": 0}
"""Whoever asks decides when to ask again; the client itself would sleep for up to a minute."""

_BUSY = frozenset({402, 408, 409, 425, 429})
_UNFIT = frozenset({400, 413, 422})
_SAID_CHARS = 200


Kind = Literal["keys", "address", "away", "rejected", "unfit"]


class LangfuseProblem(HarnessError):
    """Langfuse has not done what it was asked.

    keys      it does not take them
    address   what answers there is no Langfuse
    away      it cannot be reached, or is busy; `pause_s` seconds is how long it asks to be left alone
    rejected  it has read a score and will never take it
    unfit     the request is wrong, as it may be for this score, or for a server of another version
    """

    def __init__(self, kind: Kind, what: str, remedy: str, pause_s: float = 0) -> None:
        super().__init__(f"{what}; {remedy}.")
        self.kind = kind
        self.what = what
        self.remedy = remedy
        self.pause_s = pause_s


class Finding(Record):
    """What an examination found; `remedy` says what to do about a problem."""

    ok: bool
    detail: str
    remedy: str | None = None


class Langfuse:
    """The Langfuse of the settings, which must have both keys; an asynchronous context manager.

    All its requests together take at most `within_s` seconds. Every method raises LangfuseProblem.
    """

    def __init__(self, settings: Settings, within_s: float) -> None:
        import httpx
        from langfuse.api.client import AsyncLangfuseAPI

        keys = settings.langfuse
        assert keys.public_key, "asked for only when there are keys"
        assert keys.secret_key, "asked for only when there are keys"
        self.url = _without_user(keys.base_url)
        self._auth = keys.public_key, keys.secret_key.get_secret_value()
        self._environment = settings.tracing.environment
        self._takes: Literal["lists", "objects"] | None = None
        self._until = asyncio.get_running_loop().time() + within_s
        self._http = httpx.AsyncClient(
            # The system's own certificates, as browsers use them: a company's are often among them.
            verify=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            timeout=None,  # what counts is how long all of it takes
        )
        self._api = AsyncLangfuseAPI(
            base_url=self.url,
            username=self._auth[0],
            password=self._auth[1],
            httpx_client=self._http,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    @property
    def time_is_up(self) -> bool:
        """Whether any further request would be given up at once."""
        return asyncio.get_running_loop().time() >= self._until

    async def version(self) -> str:
        """Give the server's version; for this it wants no keys."""
        with self._translated():
            async with asyncio.timeout_at(self._until):
                health: HealthResponse = await self._api.health.health(request_options=_ONCE)
        return health.version

    async def project(self) -> Project:
        """Give the project that the keys belong to."""
        with self._translated():
            async with asyncio.timeout_at(self._until):
                found: Projects = await self._api.projects.get(request_options=_ONCE)
        if not found.data:
            raise self._wrong_keys("knows no project of these keys")
        return found.data[0]

    async def give(self, score: Score) -> None:
        """Hand a score over. One that it has already is replaced by itself.

        Scores go one by one: of several, Langfuse says how many it has rejected, but not which. A server
        before 4.59.0 wants no list but the score itself; once found to be one, it gets no list any more.
        """
        from langfuse.api.core.api_error import ApiError

        request = self._request(score)
        with self._translated():
            async with asyncio.timeout_at(self._until):
                if self._takes == "objects":
                    return await self._post(request)
                try:
                    return await self._post_list(request)
                except ApiError as refusal:
                    if self._takes == "lists" or refusal.status_code != 400:
                        raise
                    listed = _said(refusal.body)
                try:
                    await self._post(request)
                except ApiError as refusal:
                    if refusal.status_code != 400:
                        raise
                    # Which of the two forms the server wants is not known, so both reasons are told.
                    alone = _said(refusal.body)
                    both = alone if alone == listed else f"alone: {alone}; in a list: {listed}"
                    raise ApiError(status_code=400, body=both) from refusal

    def _request(self, score: Score) -> CreateScoreRequest:
        from langfuse.api.commons.types.score_data_type import ScoreDataType
        from langfuse.api.scores.types.create_score_request import CreateScoreRequest

        return CreateScoreRequest(
            id=score.id,
            trace_id=trace_id(score.session_id),
            observation_id=score.span_id,
            name=score.name,
            value=score.value,
            comment=score.comment,
            environment=self._environment,
            data_type=ScoreDataType("CATEGORICAL" if isinstance(score.value, str) else "NUMERIC"),
            timestamp=score.given_at,
        )

    async def _post_list(self, request: CreateScoreRequest) -> None:
        from langfuse.api.scores.types.create_score_batch_results import CreateScoreBatchResults

        answer = await self._api.scores.create(request=[request], request_options=_ONCE)
        if not isinstance(answer, CreateScoreBatchResults) and "message" not in answer.model_fields_set:
            # The client takes any JSON object for an acceptance.
            raise self._no_langfuse("answers, but not as Langfuse does")
        self._takes = "lists"
        if isinstance(answer, CreateScoreBatchResults) and answer.rejected:
            said = "; ".join(each.message for each in answer.errors)
            raise LangfuseProblem("rejected", f"Langfuse has rejected it ({said})", "it is not sent again")

    async def _post(self, request: CreateScoreRequest) -> None:
        """Post a score by itself, which the client does not do any more.

        Servers before 4.59.0 pass over its `timestamp`, answer {"id": ...}, and 400 to one that is unfit:
        `PostScoresBody` in https://github.com/langfuse/langfuse/tree/v4.16.0/packages/shared/src/features/scores
        """
        from langfuse.api.core.api_error import ApiError

        answer = await self._http.post(
            f"{self.url}/api/public/scores", json=request.model_dump(mode="json"), auth=self._auth
        )
        if not answer.is_success:
            raise ApiError(
                status_code=answer.status_code, headers=dict(answer.headers), body=_parsed(answer.text)
            )
        taken = answer.json()
        if not isinstance(taken, dict) or "id" not in taken:
            raise self._no_langfuse("answers, but not as Langfuse does")
        self._takes = "objects"

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import httpx
        from langfuse.api.core.api_error import ApiError

        try:
            yield
        except ApiError as error:
            raise self._answered(error) from error
        except TimeoutError as error:
            raise self._away("did not answer in time") from error
        except httpx.InvalidURL as error:
            raise self._no_langfuse(f"is no address ({error})") from error
        except httpx.HTTPError as error:
            raise self._away(f"cannot be reached ({str(error) or type(error).__name__})") from error
        except ValueError as error:
            # An answer that is no JSON, or JSON of another form.
            raise self._no_langfuse("answers, but not as Langfuse does") from error

    def _answered(self, error: ApiError) -> LangfuseProblem:
        status = error.status_code or 0
        if status in (401, 403):
            return self._wrong_keys("does not take the keys")
        if status in _UNFIT:
            what = f"Langfuse at {self.url} finds a score unfit ({_said(error.body)})"
            return LangfuseProblem("unfit", what, "should it take none at all, that server is to be updated")
        if status in _BUSY or status >= 500:
            wait = (error.headers or {}).get("retry-after", "")
            return self._away(f"answered {status}", float(wait) if wait.isdecimal() else 0)
        return self._no_langfuse(f"answers, but not as Langfuse does ({status})")

    def _wrong_keys(self, what: str) -> LangfuseProblem:
        remedy = "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to those of a project there"
        return LangfuseProblem("keys", f"Langfuse at {self.url} {what}", remedy)

    def _no_langfuse(self, what: str) -> LangfuseProblem:
        return LangfuseProblem("address", f"{self.url} {what}", "correct LANGFUSE_BASE_URL")

    def _away(self, what: str, pause_s: float = 0) -> LangfuseProblem:
        remedy = "try again later, or correct LANGFUSE_BASE_URL"
        return LangfuseProblem("away", f"Langfuse at {self.url} {what}", remedy, pause_s)


def receives(settings: Settings) -> bool:
    """Whether it is Langfuse that gets the spans: there are both keys, and no other receiver is set."""
    keys, tracing = settings.langfuse, settings.tracing
    return bool(keys.public_key and keys.secret_key and tracing.enabled and tracing.otlp_url is None)


async def trace_address(settings: Settings, session_id: str) -> str | None:
    """Give the page on which a person sees a session's trace, or None when it cannot be had quickly."""
    if not receives(settings):
        return None
    try:
        async with Langfuse(settings, ADDRESS_WITHIN_S) as langfuse:
            project = await langfuse.project()
    except LangfuseProblem as problem:
        log.debug("the address of the trace is not known: %s", problem)
        return None
    return f"{langfuse.url}/project/{project.id}/traces/{trace_id(session_id)}"


async def auth_check(settings: Settings) -> Finding | None:
    """Examine whether Langfuse is there, takes the keys, and is new enough; None when no keys are set."""
    keys = {
        "LANGFUSE_PUBLIC_KEY": settings.langfuse.public_key,
        "LANGFUSE_SECRET_KEY": settings.langfuse.secret_key,
    }
    missing = [variable for variable, key in keys.items() if not key]
    if len(missing) == len(keys):
        return None
    if missing:
        detail = f"{missing[0]} is not set, so nothing goes to Langfuse"
        return Finding(ok=False, detail=detail, remedy="set it, or unset the other key")
    try:
        async with Langfuse(settings, CHECK_WITHIN_S) as langfuse:
            # First what needs no keys: else a stranger's 401 would be taken for wrong keys.
            version = await langfuse.version()
            project = await langfuse.project()
    except LangfuseProblem as problem:
        return Finding(ok=False, detail=problem.what, remedy=problem.remedy)
    found = fitness(version)
    detail = "; ".join((f"project '{project.name}' at {langfuse.url}, version {version}", *found.lacks))
    return Finding(ok=found.remedy is None, detail=detail, remedy=found.remedy)


def _without_user(url: str) -> str:
    """A URL without the name and password it may hold: they are not the keys, and not to be shown."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _said(body: Any) -> str:
    """What an error says: its message, and which fields are wrong, where Langfuse names them."""
    text = str(body.get("message") if isinstance(body, dict) else body)
    issues = body.get("error") if isinstance(body, dict) else None
    if isinstance(issues, list):
        wrong = [_issue(each) for each in issues if isinstance(each, dict)]
        text = ": ".join((text, *wrong[:1]))
    return " ".join(text.split())[:_SAID_CHARS]


def _issue(issue: dict[str, Any]) -> str:
    path = issue.get("path")
    where = ".".join(map(str, path)) if isinstance(path, list) else ""
    return f"{where} {issue.get('message', '')}".strip()
