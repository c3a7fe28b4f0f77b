"""A supervisor at work: typed decisions of a small model, without any CLI process.

Each call goes through the gateway like every other: checkpointed, budgeted, kept and shown. A decision is in
the journal before anybody works on it.
"""

from __future__ import annotations

import json
from typing import Any

import anthropic
from pydantic import ValidationError

from harness import answering
from harness import events as ev
from harness.attempt import CALL_TIMEOUT_S
from harness.bundles.validate import validate_input
from harness.context import MustSuspend, RunView, SessionContext
from harness.decision_forms import (
    FORMS,
    MAX_TOKENS,
    Form,
    NoDecision,
    asked,
    declined,
    read,
    refuses_form,
    sent_back,
)
from harness.flow import Supervisor, Team
from harness.gateway.door import Door
from harness.gateway.trouble import Trouble
from harness.limits import Allowed, next_call, spent
from harness.messages import Message, MessageKind
from harness.plan import Place, Planner, results_so_far
from harness.prompts import render
from harness.records import NeedsHelp, Outcome, derived_id
from harness.routing import Decide, Decided, decision_schema, given_input

CORRECTIONS = 2
"""How often a decision that cannot be carried out is sent back in one turn."""


class RouterRun:
    """Makes the next decision of one supervisor. It holds nothing that the journal does not know."""

    def __init__(self, session: SessionContext, run_id: str) -> None:
        self._session = session
        self._view = RunView(session, run_id)

    async def advance(self) -> None:
        """Commit one decision, or the group's outcome.

        Raises:
            LeaseLost: another process advances the session now.
            MustSuspend: the model service is away; the session can be resumed.
        """
        view, run, node = self._view, self._view.run, self._node
        limit = spent(view.state, run)
        if limit is not None:
            await answering.needs_help(view, limit, None, 0)
            return
        # Each time somebody grants more, it is as many decisions again.
        if len(run.decisions) >= node.max_decisions * (1 + len(run.tellings)):
            await self._ask_for_help(f"{len(run.decisions)} decisions were made without coming to an end.")
            return
        number = run.attempt + 1
        started = ev.AgentRunStarted(
            attempt=number,
            entry="route",
            recovered=run.status == "running",
            claude_session_id=derived_id(run.id, "router"),
            folder="",
        )
        await view.record(started)
        gateway = self._session.gateway
        assert gateway is not None, "checked before the session began"
        model = self._session.model or view.settings.models.routing
        door = Door(
            self._session.journal,
            run.id,
            frozenset(),
            # It may offer no tools, so its calls are known by their prompt.
            self._prompt(),
            "",
            models={model, view.settings.models.fallback or model},
            prices=view.settings.price_table,
        )
        token = gateway.open_door(door)
        try:
            async with anthropic.AsyncAnthropic(
                api_key=token, base_url=gateway.base_url, max_retries=0, timeout=CALL_TIMEOUT_S
            ) as client:
                await self._decide(client)
        except anthropic.APIStatusError as problem:
            if gateway.limited is not None:
                raise MustSuspend(str(gateway.limited), gateway.limited.again_s) from problem
            await self._refused(door.trouble, problem)
        except anthropic.APIConnectionError as problem:
            said = door.trouble.problem if door.trouble else f"The router's call broke off: {problem}"
            raise MustSuspend(said) from problem
        finally:
            gateway.close_door(token)

    @property
    def _node(self) -> Supervisor | Team:
        node = self._view.node
        assert isinstance(node, Supervisor | Team), "only these are routed"
        return node

    def _prompt(self) -> str:
        view = self._view
        members = "\n".join(f"- {member.one_pager}" for member in view.members.values())
        charter = self._node.charter or "Bring the task to an answer with the members below."
        return render("router", view.project, charter=charter, members=members)

    async def _decide(self, client: anthropic.AsyncAnthropic) -> None:
        """Ask for a decision in the best form that the endpoint takes."""
        model = self._session.model or self._view.settings.models.routing
        refused = self._session.refused_forms
        for form in FORMS:
            if (model, form) in refused:
                continue
            try:
                await self._asked(client, model, form)
            except anthropic.APIStatusError as problem:
                if form == FORMS[-1] or not refuses_form(problem.status_code, problem.message):
                    raise
                refused.add((model, form))
            else:
                return

    async def _asked(self, client: anthropic.AsyncAnthropic, model: str, form: Form) -> None:
        """Bring about a decision, or the end of the run after as many corrections as there may be."""
        request: dict[str, Any] = {"model": model, "max_tokens": MAX_TOKENS, "system": self._prompt()}
        request |= asked(form, decision_schema(self._view.members))
        messages: list[Any] = [{"role": "user", "content": self._told()}]
        problem = ""
        for _ in range(CORRECTIONS + 1):
            # The raw answer: signed thinking may come back only as it came, to the last field.
            given = await client.messages.with_raw_response.create(**request, messages=messages)
            answer = given.http_response.json()
            if refusal := declined(answer):
                await answering.finish(self._view, Outcome(status="failed", problem=refusal), 0)
                return
            try:
                problem = await self._carry_out(read(form, answer))
            except NoDecision as none:
                problem = str(none)
            if not problem:
                return
            messages += sent_back(answer, problem)
        problem = f"The router made no decision that can be carried out: {problem}"
        await answering.finish(self._view, Outcome(status="failed", problem=problem), 0)

    async def _carry_out(self, given: object) -> str:
        """Commit a decision; a text says why it cannot be carried out."""
        view, run = self._view, self._view.run
        try:
            decision = Decided.model_validate(given).decision
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(str(part) for part in first['loc']) or 'decision'}: {first['msg']}."
        match decision.action:
            case "route":
                return await self._route(decision)
            case "help":
                await self._ask_for_help(decision.reason)
                return ""
            case "grant":
                return await self._grant(decision)
            case "finish":
                found = {made.number: plan.outcome for made, _, plan in self._results()}
                outcome = found.get(decision.result or 0)
                if outcome is None or outcome.status != "done":
                    done = [str(number) for number, each in found.items() if each and each.status == "done"]
                    usable = ", ".join(done) or "none yet"
                    return f"result: name the number of a result that is done; there is {usable}."
                await answering.finish(view, outcome, 0)
                return ""
        return f"action: '{decision.action}' is unknown for {run.agent}."

    async def _grant(self, decision: Decide) -> str:
        """Let a member's agent that needs help go on, with as much again as it had."""
        helpless = {made.number: (made, plan) for made, _, plan in self._results() if plan.stuck}
        made, plan = helpless.get(decision.result or 0, (None, None))
        if made is None or plan is None:
            usable = ", ".join(map(str, helpless)) or "none"
            return f"result: name the number of a result that needs help; there is {usable}."
        told = decision.told or "Go on; your limits have been raised."
        return await self._commit(decision, made.to, "grant", plan.stuck[0], {"answer": told})

    async def _route(self, decision: Decide) -> str:
        view = self._view
        member = view.members.get(decision.to or "")
        if member is None:
            return f"to: there is no member '{decision.to}'; choose from {', '.join(view.members)}."
        try:
            given = given_input(decision.input)
        except ValueError as problem:
            return f"input: give the JSON text of an object. {problem}"
        value, misfit = validate_input(member, given)
        if value is None:
            return f"input: {misfit}"
        return await self._commit(decision, member.name, "task", member.name, given)

    async def _commit(
        self, decision: Decide, to: str, kind: MessageKind, destination: str, payload: Any
    ) -> str:
        view, run = self._view, self._view.run
        number = len(run.decisions) + 1
        task = Message(
            id=derived_id(run.id, "decision", number),
            kind=kind,
            source=run.id,
            destination=destination,
            payload=payload,
            schema_name=f"{to}.input" if kind == "task" else kind,
            trace_id=view.state.trace_id,
            in_reply_to=run.task.id,
        )
        decided = ev.RoutingDecided(number=number, to=to, task=task, reason=decision.reason)
        await view.record(decided)
        return ""

    def _results(self) -> list[Any]:
        run = self._view.run
        place = Place(run.id, run.path, run.address, run.parent_id)
        return results_so_far(Planner(self._session.flow, self._view.state), self._node, place, run)

    def _situation(self) -> str:
        """What the router is shown: the task, and every decision with its result."""
        results = [
            {"number": made.number, "to": made.to, "input": made.task.payload, "why": made.reason, **result}
            for made, result, _ in self._results()
        ]
        told = {"task": self._view.run.task.payload, "results": results}
        if self._view.run.told:
            told["told"] = self._view.run.told
        return json.dumps(told, ensure_ascii=False, indent=1)

    def _told(self) -> list[dict[str, str]]:
        """The situation, and what is left of its limits: a reminder, by which a conversation is not named."""
        said = [self._situation()]
        if limits := self._limits():
            said.append(f"<system-reminder>\n{limits}\n</system-reminder>")
        return [{"type": "text", "text": text} for text in said]

    def _limits(self) -> str:
        """What a router is told of its limits; nothing as long as they are far."""
        match next_call(self._view.state, self._view.run, auxiliary=False):
            case Allowed(last_turn=str(limit)):
                return f"The limit of {limit} is nearly spent. This is your last decision."
            case Allowed(left=str(left)):
                return render("little_left", self._view.project, left=left)
            case _:
                return ""

    async def _ask_for_help(self, missing: str) -> None:
        outcome = Outcome(
            status="needs_help",
            problem=f"The group under {self._view.label} needs help: {missing}",
            help=NeedsHelp(reason="blocked", missing=missing),
        )
        await answering.finish(self._view, outcome, 0)

    async def _refused(self, trouble: Trouble | None, problem: anthropic.APIStatusError) -> None:
        if trouble is not None and trouble.concern != "request":
            raise MustSuspend(trouble.problem) from problem
        if limit := spent(self._view.state, self._view.run):
            await answering.needs_help(self._view, limit, None, 0)
            return
        said = trouble.problem if trouble else problem.message
        await answering.finish(self._view, Outcome(status="failed", problem=said), 0)
