"""One call's way: sent upstream, again or to another model while that may help, and its answer relayed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from harness.backoff import pause_s
from harness.errors import BudgetSpent, LeaseLost
from harness.gateway.bodies import ErrorBody, error_of, is_message, message_of
from harness.gateway.calls import Call, Failed
from harness.gateway.door import Door
from harness.gateway.trouble import PASSING, Trouble, lost, refused
from harness.gateway.upstream import (
    Answer,
    CallDropped,
    Outgoing,
    RateLimited,
    Upstream,
    UpstreamLost,
    UpstreamSilent,
    UpstreamStopped,
)
from harness.limits import Refused
from harness.log_fields import about
from harness.records import Usage
from harness.stopping import Stopping
from harness.wire import StreamReader

log = logging.getLogger(__name__)

OVERLOADED = frozenset({503, 529})
"""Statuses after which another model may answer, if they last."""

MAX_ATTEMPTS = 5
"""Of a step, those that its agent's CLI asks for again among them: nobody else tries."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0

DRAIN_S = 1.0
"""How long an answer that is whole may hold its connection open before it is left."""

_LAST_EVENT = b"event: message_stop"

_DROPPED = "It was not sent: its agent's process has ended, or its session is being stopped."


@dataclass(frozen=True)
class Fallback:
    """The model that answers instead of one that cannot, and with `on_refusal` of one that declines to."""

    model: str
    on_refusal: bool = False


class _Declined(Exception):
    """The model has declined to answer; that is booked, and nobody has seen it."""


@dataclass
class Relay:
    """Carries one call's answer from the upstream to the CLI and commits how it ended."""

    door: Door
    call: Call
    request: web.Request
    stopping: Stopping
    fallback: Fallback | None
    limit: Callable[[RateLimited], None]
    """Hears why no model may be called for a long time."""
    _begun: bool = False
    _between: bool = False

    async def run(self, upstream: Upstream) -> web.StreamResponse:
        """Send the request, again while that may help, and relay the answer."""
        try:
            while True:
                # One that stopping finds committed, but not sent, is still sent: only no further attempt is.
                if gone(self.request, self.door) or (self.call.attempts and not self._wanted()):
                    raise CallDropped(_DROPPED)
                response = await self._attempt(upstream)
                if response is not None:
                    return response
        except UpstreamStopped as problem:
            await self._fail(Failed(None, str(problem)))
            await self.door.stopped(problem.stopped)
            # The session hears of it and ends its agents; until then there is nothing to say to this one.
            await self.door.closed.wait()
            return error(402, "billing_error", str(problem))
        except RateLimited as problem:
            await self._fail(Failed(problem.status, str(problem)))
            self.limit(problem)
            return error(402, "billing_error", str(problem))
        except UpstreamSilent as problem:
            # Whoever tries again waits as long again: that is for the session to decide, not for this call.
            self.call.lost += 1
            silent = Trouble("service", str(problem))
            await self._fail(Failed(None, str(problem)), trouble=silent)
            return self._cut_off() if self._begun else self._no_more(silent)
        except BudgetSpent as problem:
            await self._fail(Failed(None, str(problem)))
            raise
        except UpstreamLost as problem:
            trouble = lost(str(problem), self.call.tries) if self._last else None
            await self._fail(Failed(None, str(problem)), trouble=trouble)
            if self._begun:
                return self._cut_off()
            return self._no_more(trouble) if trouble else error(529, "overloaded_error", str(problem))
        except (LeaseLost, CallDropped) as problem:
            await self._fail(Failed(None, str(problem)))
            return self._cut_off() if self._begun else error(529, "overloaded_error", str(problem))

    async def _attempt(self, upstream: Upstream) -> web.StreamResponse | None:
        """Send the request once and relay the answer; None when it is worth another attempt."""
        self.call.attempts += 1
        self.call.tries += 1
        instead = None
        try:
            async with upstream.send(self._outgoing()) as answer:
                if answer.status == 200:
                    return await self._relay(answer)
                body = b"".join([chunk async for chunk in answer.chunks])
                refusal = error_of(body)
                failed = Failed(answer.status, refusal.text)
                again = answer.status in PASSING and not (answer.final or self._last)
                instead = None if again or answer.final else self._instead(answer.status, refusal)
                if not again and instead is None:
                    return await self._refuse(answer, refusal, body)
                pause = 0.0 if instead else _pause(self.call.tries, answer.headers.get("retry-after"))
        except _Declined:
            return await self._ask_the_fallback()
        except RateLimited as problem:
            instead = self._instead(problem.status)
            if instead is None:
                raise
            failed, pause = Failed(problem.status, str(problem)), 0.0
        except UpstreamLost as problem:
            self.call.lost += problem.sent
            if self._begun or self._last:
                raise
            failed, pause = Failed(None, str(problem), problem.sent), _pause(self.call.tries, None)
        if not self._wanted():
            # Before anything is reserved: a budget without room for it is nobody's concern.
            raise CallDropped(_DROPPED)
        await self.door.retried(self.call, failed, pause, instead)
        await asyncio.sleep(pause)
        return None

    async def _ask_the_fallback(self) -> web.StreamResponse | None:
        assert self.fallback is not None, "only then an answer is held back"
        # Until the next call is committed there is none that could fail.
        self._between = True
        asked = await self.door.asked_instead(self.call, self.fallback.model)
        if isinstance(asked, Refused):
            return error(402, "billing_error", asked.problem)
        self.call, self._between = asked, False
        return None

    @property
    def _last(self) -> bool:
        return self.call.tries >= MAX_ATTEMPTS

    def _outgoing(self) -> Outgoing:
        call = self.call
        body, request = call.body, call.request
        if call.model != str(request.get("model", "")):
            request = {**request, "model": call.model}
            body = json.dumps(request).encode()
        return Outgoing(
            body=body,
            request=request,
            headers=call.headers,
            query=self.request.rel_url.raw_query_string,
            caller=self.door.caller(call),
            alive=self.door.alive,
            wanted=self._wanted,
        )

    def _wanted(self) -> bool:
        return not gone(self.request, self.door) and not self.stopping.asked.is_set()

    def _instead(self, status: int | None, refusal: ErrorBody | None = None) -> str | None:
        """The model that is asked after this refusal, which is the last of its own model's."""
        gone = status in OVERLOADED or (status == 404 and refusal and refusal.kind == "not_found_error")
        other = self.fallback.model if self.fallback else None
        return other if gone and self.call.model != other else None

    @property
    def _held_back(self) -> bool:
        """Whether an answer is passed on once it is whole: should the model decline, another one answers."""
        fallback = self.fallback
        return fallback is not None and fallback.on_refusal and self.call.model != fallback.model

    async def _refuse(self, answer: Answer, refusal: ErrorBody, body: bytes) -> web.Response:
        call = self.call
        trouble = refused(answer.status, refusal, answer.place, call.model, call.tries)
        await self._fail(Failed(answer.status, refusal.text), (answer.headers, body), trouble)
        if trouble.concern == "request" or call.auxiliary:
            # The CLI can do something about some: it sums up a conversation that is too long, for instance.
            return web.Response(status=answer.status, headers=answer.headers, body=body)
        return self._no_more(trouble)

    def _no_more(self, trouble: Trouble) -> web.Response:
        """End the CLI's asking: of all statuses it is this one that it takes for final, in our words."""
        return error(402, "billing_error", trouble.problem)

    async def _relay(self, answer: Answer) -> web.StreamResponse:
        if "text/event-stream" in answer.headers.get("content-type", "application/json"):
            return await self._relay_stream(answer)
        body = b"".join([chunk async for chunk in answer.chunks])
        message = message_of(body)
        declined = self._held_back and message["stop_reason"] == "refusal"
        now = datetime.now(UTC)
        used = await self.door.completed(self.call, message, now, answer.headers, body, replaced=declined)
        await answer.settle(used.output_tokens)
        if declined:
            raise _Declined
        return web.Response(status=answer.status, headers=answer.headers, body=body)

    async def _relay_stream(self, answer: Answer) -> web.StreamResponse:
        reader = StreamReader()
        first_token: datetime | None = None
        response = web.StreamResponse(headers=answer.headers)
        waiting = bytearray()
        used: Usage | None = None
        parts = _chunks(answer, lambda: used is not None or reader.error is not None)
        async with contextlib.aclosing(parts) as chunks:
            async for chunk in chunks:
                reader.feed(chunk)
                self.door.alive("reading the model's answer")
                self.call.message_id = reader.message_id
                if first_token is None and reader.content_seen:
                    first_token = datetime.now(UTC)
                if reader.complete and not is_message(reader.message):
                    raise UpstreamLost("The model's answer has ended, and is no message that can be read.")
                if not self._begun:
                    # Until a message begins the attempt can be made again, and nobody has seen it.
                    waiting += chunk
                    if not (reader.complete if self._held_back else reader.begun):
                        continue
                    if self._held_back and reader.stop_reason == "refusal":
                        used = await self._completed(reader, first_token, answer, replaced=True)
                        await answer.settle(used.output_tokens)
                        raise _Declined
                    chunk = bytes(waiting)
                    self._begun = True
                    with _perhaps_alone():
                        await response.prepare(self.request)
                if reader.complete and used is None:
                    # Only the end has to wait for the commit.
                    before, mark, after = chunk.rpartition(_LAST_EVENT)
                    await _pass_on(response, before)
                    used = await self._completed(reader, first_token, answer)
                    chunk = mark + after
                await _pass_on(response, chunk)
        if used is not None:
            await answer.settle(used.output_tokens)
            return response
        if reader.error is None:
            raise UpstreamLost("The model's answer broke off before its end.")
        problem = f"The model's answer ended in an error: {reader.error.get('message')}"
        if not self._begun:
            raise UpstreamLost(problem)
        self.call.lost += 1
        trouble = lost(problem, self.call.tries) if self._last else None
        await self._fail(Failed(None, problem), trouble=trouble)
        return response

    async def _completed(
        self, reader: StreamReader, first_token: datetime | None, answer: Answer, *, replaced: bool = False
    ) -> Usage:
        assert reader.message is not None, "it was seen to be a message"
        raw = bytes(reader.raw)
        return await self.door.completed(
            self.call, reader.message, first_token, answer.headers, raw, replaced=replaced
        )

    def _cut_off(self) -> web.StreamResponse:
        """Break the answer off as the upstream's broke off, so that the CLI sees it as it was."""
        if self.request.transport is not None:
            self.request.transport.close()
        return web.Response()

    async def _fail(
        self,
        failed: Failed,
        answered: tuple[Mapping[str, str], bytes] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        if self._between:
            return
        named = about("model_call_failed", agent_run_id=self.door.run_id, status=failed.status)
        log.info("model call %s failed: %s", self.call.call_id, failed.problem, extra=named)
        with contextlib.suppress(LeaseLost):
            await self.door.failed(self.call, failed, answered, trouble)


def gone(request: web.Request, door: Door) -> bool:
    """Whether nobody waits for the answer any more: the CLI has hung up, or its agent run has ended."""
    return request.transport is None or door.closed.is_set()


async def _pass_on(response: web.StreamResponse, chunk: bytes) -> None:
    with _perhaps_alone():
        await response.write(chunk)


def _perhaps_alone() -> contextlib.suppress:
    """Go on when the CLI has gone: its answer is being paid for, and is read to its end."""
    return contextlib.suppress(ConnectionResetError)


async def _chunks(answer: Answer, ended: Callable[[], bool]) -> AsyncGenerator[bytes]:
    """What arrives; of an answer that has ended only what comes at once, however its connection goes on."""
    chunks = aiter(answer.chunks)
    left_at: float | None = None
    while True:
        if ended() and left_at is None:
            left_at = asyncio.get_running_loop().time() + DRAIN_S
        try:
            async with asyncio.timeout_at(left_at):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except (TimeoutError, UpstreamLost, UpstreamSilent):
            if left_at is None:
                raise
            return
        yield chunk


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds to wait: what the service asks for, else longer each time."""
    if retry_after is not None:
        with contextlib.suppress(ValueError):
            return min(max(float(retry_after), 0.0), LONGEST_PAUSE_S)
    return pause_s(attempt, FIRST_PAUSE_S, LONGEST_PAUSE_S)


def error(status: int, kind: str, message: str) -> web.Response:
    """An error in the form of the Messages API."""
    return web.json_response({"type": "error", "error": {"type": kind, "message": message}}, status=status)
