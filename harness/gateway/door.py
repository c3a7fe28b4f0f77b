"""One agent run's way through the gateway: what a request is, whether it may pass, and how it is counted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from harness import events as ev
from harness.gateway.admission import Forbidden, forbidden, too_many_beside, unpriced
from harness.gateway.asked import asks_for_summary, parameters_of, system_texts, tools_of
from harness.gateway.bodies import counts_of, is_useful, message_in
from harness.gateway.calls import Call, Denied, Failed
from harness.gateway.charge import Charge
from harness.gateway.conversation import conversation_key
from harness.gateway.trouble import Trouble
from harness.gateway.upstream import Caller
from harness.limits import Refused, next_call
from harness.pricing import PRICES, Price, cost_usd, costs_usd, most
from harness.records import Usage, derived_id
from harness.redaction import Redactor
from harness.state import RunState
from harness.stops import AT_ONCE, CUT, why_final
from harness.store.journal import Journal, KeptResponse, forget_response, kept_response
from harness.store.recordings import Recording
from harness.tracing.chat import Answered, Asked
from harness.tracing.describe import Shown


@dataclass
class Door:
    """Which agent run a token stands for. `tools` are those a step offers; `prompt` is its system prompt."""

    journal: Journal
    run_id: str
    tools: frozenset[str]
    prompt: str
    resume_text: str
    alive: Callable[[str], None] = field(default=lambda doing: None)
    """Hears of each sign of life, with what the run is doing."""
    calling: Callable[[], AbstractContextManager[None]] = nullcontext
    """Is entered for as long as a call of the run is on the wire."""
    models: Collection[str] = field(kw_only=True)
    """The models that the run may ask, by their ids or as its bundle names them."""
    prices: Mapping[str, Price] = field(default_factory=lambda: PRICES)
    missed: int = 0
    """Attempts at its steps in a row that brought no answer, those of its earlier processes among them."""
    trouble: Trouble | None = None
    """Why its newest call has no answer, once it is not tried again."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Its token is good for nothing any more."""

    @property
    def redactor(self) -> Redactor:
        """What goes through all that is stored."""
        return self.journal.redactor

    @property
    def run(self) -> RunState:
        """The agent run, as the journal knows it."""
        return self.journal.state.runs[self.run_id]

    def caller(self, call: Call) -> Caller:
        """Say whose call this is, and which one of its run."""
        run = self.run
        return Caller(run.agent, run.path, None if call.auxiliary else run.steps + 1)

    async def admit(
        self, body: bytes, request: dict[str, Any], headers: Mapping[str, str]
    ) -> Call | KeptResponse | Forbidden | Refused | Denied:
        """Commit the checkpoint of a model call, find its answer among those paid already, or refuse it.

        `request` has the form that `read_request` sees to.

        Raises:
            BudgetSpent: the tenant's budget has no room for it now; nothing was committed.
        """
        if (strange := forbidden(request["model"], self.models)) is not None:
            self.trouble = Trouble("request", strange.problem)
            return strange
        auxiliary = not self.is_step(request)
        conversation = conversation_key(request, (self.resume_text,), self.redactor)
        if (kept := await self._paid_already(conversation, auxiliary)) is not None:
            return kept
        if (strange := unpriced(request["model"], self.journal.state, self.run, self.prices)) is not None:
            self.trouble = Trouble("account", strange.problem)
            return strange
        if auxiliary and (refused := too_many_beside(self.run)) is not None:
            return refused
        verdict = next_call(self.journal.state, self.run, auxiliary=auxiliary)
        if isinstance(verdict, Refused):
            return verdict
        request_hash = hashlib.sha256(body).hexdigest()
        ordinal = self.run.answered.get(request_hash, 0)
        if not auxiliary and (problem := self._in_vain(asked_before=ordinal > 0)):
            self.trouble = self.trouble or Trouble("request", problem)
            return Denied(problem)
        call = Call(
            call_id=derived_id(self.run_id, request_hash, ordinal),
            auxiliary=auxiliary,
            model=str(request.get("model", "")),
            body=body,
            request=request,
            headers=dict(headers),
            conversation=conversation,
            began=datetime.now(UTC),
            tries=0 if auxiliary else self.missed,
            charge=Charge.of(self.journal.state, request, body, self.prices),
        )
        await self._requested(call, request_hash, ordinal, last_turn=verdict.last_turn is not None)
        return call

    async def asked_instead(self, declined: Call, model: str) -> Call | Refused:
        """Commit a call of another model in the place of one whose model has declined to answer.

        Raises:
            BudgetSpent: the tenant's budget has no room for it; nothing was committed.
        """
        verdict = next_call(self.journal.state, self.run, auxiliary=declined.auxiliary)
        if isinstance(verdict, Refused):
            return verdict
        request_hash = hashlib.sha256(declined.body).hexdigest()
        ordinal = self.run.answered.get(request_hash, 0)
        request = {**declined.request, "model": model}
        call = replace(
            declined,
            call_id=derived_id(self.run_id, request_hash, ordinal),
            model=model,
            began=datetime.now(UTC),
            charge=Charge.of(self.journal.state, request, declined.body, self.prices),
            attempts=0,
            message_id=None,
            tries=0,
            lost=0,
        )
        await self._requested(call, request_hash, ordinal, last_turn=verdict.last_turn is not None)
        return call

    async def _requested(self, call: Call, request_hash: str, ordinal: int, *, last_turn: bool) -> None:
        await self.journal.append(
            ev.ModelRequested(
                call_id=call.call_id,
                request_hash=request_hash,
                ordinal=ordinal,
                auxiliary=call.auxiliary,
                last_turn=last_turn,
                model=call.model,
            ),
            run_id=self.run_id,
            shown=Shown(input=Asked(call.request), facts={"parameters": parameters_of(call.request)}),
            entry=call.charge.begins if call.charge else None,
        )
        self.alive("waiting for the model's first token")

    def _in_vain(self, *, asked_before: bool) -> str | None:
        """Say why a step would come to nothing: what has just ended so would end so again."""
        if self.trouble is not None and self.trouble.concern != "request" and self.missed:
            return self.trouble.problem
        stop = self.run.last_stop
        # A router asks again in other words, a bounded number of times; a CLI only for the rest of nothing.
        same = self.run.role != "router" and (asked_before or (stop in CUT and self.run.last_blank))
        return why_final(stop) if stop in AT_ONCE or same else None

    async def completed(
        self,
        call: Call,
        message: dict[str, Any],
        first_token: datetime | None,
        headers: Mapping[str, str],
        body: bytes,
        *,
        replaced: bool = False,
    ) -> Usage:
        """Commit a completed response, keep it where it is of use, and give what it used.

        `message` is the Messages API's; `headers` and `body` are all that came. One that is `replaced` is
        given to nobody: another model is asked.
        """
        self.trouble = None
        self.missed = self.missed if call.auxiliary else 0
        counts = counts_of(message.get("usage"))
        usage = Usage(
            **(counts or {}),
            model_calls=1,
            attempts=call.attempts,
            unattributed_calls=call.lost + (counts is None),
        )
        model = str(message.get("model") or call.model)
        priced = model
        cost = cost_usd(model, usage, self.prices)
        if cost is None and call.charge is not None:
            # Endpoints in front of others answer under names of their own. What nobody pays for has no price.
            priced = call.model
            cost = cost_usd(priced, usage, self.prices)
        kept = KeptResponse(call.conversation, call.call_id, _content_type(headers), body, message)
        await self.journal.append(
            ev.ModelFinished(
                call_id=call.call_id,
                auxiliary=call.auxiliary,
                model=model,
                message_id=message.get("id"),
                stop_reason=message.get("stop_reason"),
                usage=usage,
                cost_usd=cost,
                first_token_s=(first_token - call.began).total_seconds() if first_token else None,
                blank=not any(block.get("type") in _SAID for block in message.get("content") or ()),
                replaced=replaced,
            ),
            run_id=self.run_id,
            shown=Shown(
                output=Answered(message.get("content")),
                facts={"costs": costs_usd(priced, usage, self.prices)},
            ),
            keep=kept if is_useful(message) else None,
            record=None if replaced else self._recording(call, 200, headers, body),
            entry=call.charge.answered(model, usage if counts else None, cost) if call.charge else None,
        )
        return usage

    async def retried(self, call: Call, failed: Failed, pause_s: float, instead: str | None = None) -> None:
        """Commit that an attempt failed, and that another follows after a pause, of the model `instead`.

        Raises:
            BudgetSpent: it may have cost or the other model cost more, and the tenant's budget has no room.
        """
        charge, entry = call.charge, None
        if charge is not None and instead is not None:
            charge, entry = charge.instead(
                most({**call.request, "model": instead}, len(call.body), self.prices), instead, failed.lost
            )
        elif charge is not None and failed.lost:
            charge, entry = charge.another()
        self.alive("waiting to call the model again: " + failed.problem)
        await self.journal.append(
            ev.ModelRetried(
                call_id=call.call_id,
                auxiliary=call.auxiliary,
                status=failed.status,
                problem=failed.problem,
                lost=failed.lost,
                pause_s=round(pause_s, 3),
                model=instead,
            ),
            run_id=self.run_id,
            entry=entry,
        )
        call.charge = charge
        if instead is not None:
            call.model, call.tries = instead, 0
        self._count(call)

    def _count(self, call: Call) -> None:
        if not call.auxiliary:
            self.missed = call.tries

    async def failed(
        self,
        call: Call,
        failed: Failed,
        answered: tuple[Mapping[str, str], bytes] | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        """Commit that a call brought no complete response; its lost attempts may have cost.

        `answered` are headers and body of the refusal, if it was one; `trouble` is what that means for its
        agent run, unless it may ask again.
        """
        self._count(call)
        self.trouble = trouble
        # The CLI's own calls are not counted by their failures: it makes them again, or does without.
        answered = None if call.auxiliary else answered
        await self.journal.append(
            ev.ModelFailed(
                call_id=call.call_id,
                auxiliary=call.auxiliary,
                status=failed.status,
                problem=failed.problem,
                usage=Usage(attempts=call.attempts, unattributed_calls=call.lost),
                message_id=call.message_id,
            ),
            run_id=self.run_id,
            record=self._recording(call, failed.status or 0, *answered) if answered else None,
            entry=call.charge.failed(call.lost) if call.charge else None,
        )

    async def stopped(self, stopped: ev.ReplayStopped) -> None:
        """Commit where a replay stops; of several agents that differ, the first one counts."""
        if self.journal.state.replay_stopped is None:
            await self.journal.append(stopped, run_id=self.run_id)

    def _recording(
        self, call: Call, status: int, headers: Mapping[str, str], body: bytes
    ) -> Recording | None:
        if not self.journal.state.recorded:
            return None
        return Recording(
            number=self.caller(call).number,
            status=status,
            request_headers=_named(call.headers, _ASKED_WITH),
            request=call.body,
            response_headers=_named(headers, _ANSWERED_WITH),
            content_type=_content_type(headers),
            response=body,
        )

    async def _paid_already(self, conversation: str, auxiliary: bool) -> KeptResponse | None:
        """Find the answer to this conversation among those paid for; one that is of no use is forgotten."""
        if self.run.attempt < 2:
            return None
        kept = await kept_response(self.journal.database, self.journal.session_id, self.run_id, conversation)
        if kept is None:
            return None
        message = message_in(kept.content_type, kept.body)
        if message is None or not is_useful(message) or self._given_in_vain(kept.call_id):
            await forget_response(self.journal.database, self.journal.lease, self.run_id, conversation)
            return None
        await self.journal.append(
            ev.ModelReplayed(call_id=kept.call_id, auxiliary=auxiliary), run_id=self.run_id
        )
        return kept

    def _given_in_vain(self, call_id: str) -> bool:
        """Whether a kept answer cannot be used: asked for again, it is not in the transcript.

        The process that was given it first may have been killed before it had written it down.
        """
        given = self.run.given_again.get(call_id, [])
        return len(given) > 1 or self.run.attempt in given

    def is_step(self, request: Mapping[str, Any]) -> bool:
        """Whether this request is a step of the agent's, and not one that the CLI makes beside them."""
        if asks_for_summary(request):
            return False
        if self.tools:
            return bool(self.tools & tools_of(request))
        return any(self.prompt in text for text in system_texts(request))


_SAID = ("text", "tool_use")

_ASKED_WITH = ("anthropic-version", "anthropic-beta")
_ANSWERED_WITH = ("request-id", "retry-after")


def _named(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    given = {name.lower(): value for name, value in headers.items()}
    return {name: given[name] for name in names if name in given}


def _content_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "application/json")
