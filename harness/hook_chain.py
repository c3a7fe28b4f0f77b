"""The hooks in force, and the one place that reads the SDK's hook dicts.

A hook that raises inside the SDK lets the tool run, so here every exception of a guarding hook, cancellation
included, becomes a denial with a reason. This is the only catch-all in the code.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from claude_agent_sdk import HookContext, HookInput, HookMatcher
from claude_agent_sdk.types import HookEvent, HookJSONOutput

from harness.content import hook_files, load_python
from harness.errors import BadSettings
from harness.events import ToolDenied
from harness.help import NEED_HELP
from harness.hooks import AfterTool, Allow, BeforeTool, Decision, Defer, Deny, Hook, Run, Shown
from harness.liveness import Pulse
from harness.log_fields import about
from harness.records import Replay
from harness.resume import DELEGATE
from harness.settings import Settings

log = logging.getLogger(__name__)

_WAITING = frozenset({DELEGATE, NEED_HELP})
"""Tools whose calls may wait without a process."""

SDK_TIMEOUT_S = 900.0
"""What the SDK is told: the last resort, should even our own deadlines fail."""

Shorten = Callable[[str, Any], Awaitable[Any | None]]
"""Gives what the agent is told instead of a tool's result; None to leave it as it is."""


async def _as_it_is(tool: str, result: Any) -> None:
    return None


def load_hooks(project: Path | None, settings: Settings) -> tuple[Hook, ...]:
    """Load the hooks of the built-in and the project's `hooks/` folder, in the order they run.

    Raises:
        BadSettings: a file exports no hook, or the settings name one that does not exist.
    """
    found: dict[str, Hook] = {}
    for name, path in hook_files(project).items():
        hook = getattr(load_python(path, BadSettings), "HOOK", None)
        if not isinstance(hook, Hook):
            raise BadSettings(f"{path} exports no hook; let it define HOOK = Hook(...) from harness.hooks.")
        found[name] = hook
    named = {*settings.hooks.disabled, *settings.hooks.order, *settings.hooks.options}
    if unknown := sorted(named - found.keys()):
        raise BadSettings(
            f"The settings name a hook '{unknown[0]}' that does not exist; "
            f"there are {', '.join(sorted(found))}."
        )
    first = {name: place for place, name in enumerate(settings.hooks.order)}
    kept = [(name, hook) for name, hook in found.items() if name not in settings.hooks.disabled]
    kept.sort(key=lambda pair: (first.get(pair[0], len(first)), pair[1].order, pair[0]))
    return tuple(hook for _, hook in kept)


class HookChain:
    """Runs the hooks for one agent run."""

    def __init__(
        self,
        hooks: Sequence[Hook],
        run: Run,
        replay_of: Callable[[str], Replay],
        pulse: Pulse | None = None,
        shorten: Shorten = _as_it_is,
    ) -> None:
        self._pulse = pulse
        self._shorten = shorten
        self._hooks = hooks
        self._run = run
        self._replay_of = replay_of
        self._deadline_s = run.settings.hooks.deadline_s

    def matchers(self) -> dict[HookEvent, list[HookMatcher]]:
        """Give what the SDK is told: one callback per event, blocking a tool should it ever fail."""

        def matcher(
            callback: Callable[..., Awaitable[HookJSONOutput]],
            on_failure: Literal["block", "continue"] = "block",
        ) -> list[HookMatcher]:
            return [HookMatcher(hooks=[callback], timeout=SDK_TIMEOUT_S, on_failure=on_failure)]

        return {
            "PreToolUse": matcher(self._before_tool),
            "PostToolUse": matcher(self._after_tool),
            "PostToolUseFailure": matcher(self._after_tool),
            "UserPromptSubmit": matcher(self._before_turn, "continue"),
            # The CLI knows it, the SDK's type does not: once for all tools of a turn, denied ones included.
            cast(HookEvent, "PostToolBatch"): matcher(self._before_turn, "continue"),
        }

    async def _before_tool(self, given: HookInput, _id: str | None, _: HookContext) -> HookJSONOutput:
        payload = cast(Mapping[str, Any], given)
        call = BeforeTool(
            tool_use_id=payload["tool_use_id"],
            tool=payload["tool_name"],
            input=payload["tool_input"],
            replay=self._replay_of(payload["tool_name"]),
        )
        for hook in self._hooks:
            if hook.before_tool is None:
                continue
            decision = await self._guarded(hook, partial(_decided, hook.before_tool, call, self._run))
            match decision:
                case None:
                    continue
                case Allow():
                    if self._pulse is not None:
                        self._pulse.tool_began(call.tool_use_id, call.tool)
                    return _decision("allow")
                case Defer() if call.tool in _WAITING:
                    return _decision("defer")
                case Defer():
                    reason = (
                        f"The hook '{hook.name}' deferred {call.tool}, which cannot wait without a process."
                    )
                    await self._note_denial(hook, call, reason)
                    return _decision("deny", reason)
                case Deny(reason=reason):
                    await self._note_denial(hook, call, reason)
                    return _decision("deny", reason)
        if self._pulse is not None:
            self._pulse.tool_began(call.tool_use_id, call.tool)
        return {}

    async def _after_tool(self, given: HookInput, _id: str | None, _: HookContext) -> HookJSONOutput:
        payload = cast(Mapping[str, Any], given)
        call = AfterTool(
            tool_use_id=payload["tool_use_id"],
            tool=payload["tool_name"],
            input=payload["tool_input"],
            result=payload.get("tool_response"),
            error=str(payload["error"]) if payload.get("error") else None,
            duration_ms=payload.get("duration_ms"),
            cached=self._run.was_cached(payload["tool_use_id"]),
        )
        if self._pulse is not None:
            self._pulse.tool_ended(call.tool_use_id)
        for hook in self._hooks:
            if hook.after_tool is not None:
                await self._guarded(hook, partial(hook.after_tool, call, self._run))
        shorter = await self._guarded(_SHORTENING, partial(self._shorten, call.tool, call.result))
        return {} if shorter is None else _instead(shorter)

    async def _before_turn(self, given: HookInput, _id: str | None, _: HookContext) -> HookJSONOutput:
        said = []
        for hook in self._hooks:
            if hook.before_turn is not None:
                told = await self._guarded(hook, partial(hook.before_turn, self._run))
                said += [told] if isinstance(told, str) and told else []
        if not said:
            return {}
        context = {"hookEventName": given["hook_event_name"], "additionalContext": "\n\n".join(said)}
        return cast(HookJSONOutput, {"hookSpecificOutput": context})

    async def _note_denial(self, hook: Hook, call: BeforeTool, reason: str) -> None:
        noted = ToolDenied(tool_use_id=call.tool_use_id, tool=call.tool, hook=hook.name, reason=reason)
        shown = Shown(input=dict(call.input))
        await self._guarded(_NOTING, partial(self._run.record, noted, shown=shown))

    async def _guarded(self, hook: Hook, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do a hook's work within its time; a failure is a denial, or nothing if the hook only watches."""
        clock = _Clock()
        try:
            async with asyncio.timeout(self._deadline_s) as clock.deadline:
                _CLOCK.set(clock)
                return await work()
        except BaseException as problem:  # noqa: BLE001  (a raising hook would let the tool run)
            said = "did not answer in time" if isinstance(problem, TimeoutError) else repr(problem)
            log.warning("hook %s failed: %s", hook.name, said, extra=about("hook_failed", hook=hook.name))
            if hook.on_failure == "ignore" and not _being_stopped():
                return None
            return Deny(f"The hook '{hook.name}' failed ({said}), so the tool was not run.")
        finally:
            clock.deadline = None


@dataclass
class _Clock:
    """The deadline of a hook, as long as the hook is at work."""

    deadline: asyncio.Timeout | None = None


_CLOCK: ContextVar[_Clock | None] = ContextVar("the clock of the hook at work", default=None)


@contextmanager
def off_the_clock() -> Iterator[None]:
    """Stop the clock of the hook at work meanwhile: waiting for the store is no fault of its own."""
    clock, now = _CLOCK.get() or _Clock(), asyncio.get_running_loop().time
    until = clock.deadline.when() if clock.deadline else None
    if clock.deadline is None or until is None:
        yield
        return
    left_s = until - now()
    clock.deadline.reschedule(None)
    try:
        yield
    finally:
        # What a hook has left behind at work has no deadline any more.
        if clock.deadline is not None:
            clock.deadline.reschedule(now() + left_s)


async def _decided(
    ask: Callable[[BeforeTool, Run], Awaitable[Decision | None]], call: BeforeTool, run: Run
) -> Decision | None:
    answer = await ask(call, run)
    if answer is None or isinstance(answer, Allow | Deny | Defer):
        return answer
    raise TypeError(f"it answered {answer!r:.100}, which is neither None, Allow, Deny nor Defer")


def _being_stopped() -> bool:
    """Whether the call into the hooks itself was cancelled: then no hook may be passed over."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_NOTING = Hook(name="denial", order=0, on_failure="ignore")
_SHORTENING = Hook(name="shorten", order=0, on_failure="ignore")


def _decision(decision: str, reason: str | None = None) -> HookJSONOutput:
    specific = {"hookEventName": "PreToolUse", "permissionDecision": decision}
    if reason is not None:
        specific["permissionDecisionReason"] = reason
    return cast(HookJSONOutput, {"hookSpecificOutput": specific})


def _instead(result: Any) -> HookJSONOutput:
    specific = {"hookEventName": "PostToolUse", "updatedToolOutput": result}
    return cast(HookJSONOutput, {"hookSpecificOutput": specific})
