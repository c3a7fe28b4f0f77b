"""Hooks fail the right way: whatever a guard does wrong stops the tool, whatever a watcher does does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from harness.delegation import DELEGATE
from harness.errors import BadSettings, StoreUnavailable
from harness.hook_chain import HookChain, load_hooks
from harness.hooks import AfterTool, Allow, BeforeTool, Decision, Defer, Deny, Hook, Run
from harness.sections import Hooks
from harness.settings import Settings
from tests.kit.hooked import FakeRun, at_work, decision, fire, reason

Before = Callable[[BeforeTool, Run], Awaitable[Decision | None]]


def hook(name: str, before: Any = None, *, watches: bool = False, after: Any = None, order: int = 1) -> Hook:
    return Hook(name, order, "ignore" if watches else "deny", before_tool=before, after_tool=after)


def chain(*hooks: Hook, run: FakeRun | None = None, deadline_s: float = 5.0) -> HookChain:
    run = run or at_work()
    run.settings = Settings(hooks=Hooks(deadline_s=deadline_s))
    return HookChain(hooks, run, lambda tool: "unsafe")


def answering(decided: Any, seen: list[str] | None = None, name: str = "") -> Before:
    async def answer(call: BeforeTool, run: Run) -> Any:
        if seen is not None:
            seen.append(name)
        return decided

    return answer


async def raises(call: BeforeTool, run: Run) -> None:
    raise ValueError("broken inside")


def raises_at_once(call: BeforeTool, run: Run) -> Awaitable[None]:
    raise ValueError("broken inside")


async def exits(call: BeforeTool, run: Run) -> None:
    raise SystemExit(3)


async def is_cancelled(call: BeforeTool, run: Run) -> None:
    raise asyncio.CancelledError


async def hangs(call: BeforeTool, run: Run) -> None:
    await asyncio.Event().wait()


BROKEN: dict[str, tuple[Any, str]] = {
    "raises": (raises, "broken inside"),
    "raises before it is awaited": (raises_at_once, "broken inside"),
    "exits": (exits, "SystemExit"),
    "is cancelled from inside": (is_cancelled, "CancelledError"),
    "hangs": (hangs, "did not answer in time"),
    "answers true": (answering(True), "True"),
    "answers in the SDK's words": (answering({"permissionDecision": "allow"}), "permissionDecision"),
    "answers the class": (answering(Allow), "Allow"),
    "is no coroutine": (lambda call, run: None, "TypeError"),
}
broken = pytest.mark.parametrize(("before", "said"), BROKEN.values(), ids=BROKEN)


@broken
async def test_a_guard_that_fails_stops_the_tool(before: Before, said: str) -> None:
    """The denial names the hook and what it did, and no later hook is asked."""
    seen: list[str] = []
    run = at_work()
    hooks = (hook("guard", before), hook("later", answering(Allow(), seen, "later")))
    answer = await fire(chain(*hooks, run=run, deadline_s=0.05))
    assert decision(answer) == "deny"
    assert "The hook 'guard' failed" in reason(answer)
    assert said in reason(answer)
    assert seen == []
    assert run.kinds == ["tool.denied"]


@broken
async def test_a_watcher_that_fails_stops_nothing(before: Before, said: str) -> None:
    """It is passed over, and the hooks after it decide."""
    seen: list[str] = []
    hooks = (hook("watch", before, watches=True), hook("later", answering(Allow(), seen, "later")))
    assert decision(await fire(chain(*hooks, deadline_s=0.05))) == "allow"
    assert seen == ["later"]


async def test_a_chain_cancelled_from_outside_stops_the_tool() -> None:
    """Even while a watcher is asked: what has not been guarded to the end does not run."""
    for watches in (True, False):
        entered = asyncio.Event()

        async def waits(call: BeforeTool, run: Run, entered: asyncio.Event = entered) -> None:
            entered.set()
            await asyncio.Event().wait()

        asking = asyncio.create_task(fire(chain(hook("waits", waits, watches=watches))))
        await entered.wait()
        asking.cancel()
        assert decision(await asking) == "deny"


async def test_without_a_decision_the_permissions_decide() -> None:
    """No hooks, or none that objects: the answer is empty."""
    assert await fire(chain()) == {}
    assert await fire(chain(hook("quiet", answering(None)), hook("after only", after=answering(None)))) == {}


@pytest.mark.parametrize(("decided", "told"), [(Allow(), "allow"), (Defer(), "defer"), (Deny("no"), "deny")])
async def test_the_first_decision_counts(decided: Decision, told: str) -> None:
    """Hooks are asked in their order; one that decides ends the asking."""
    seen: list[str] = []
    hooks = (
        hook("first", answering(None, seen, "first")),
        hook("second", answering(decided, seen, "second")),
        hook("third", answering(Deny("never asked"), seen, "third")),
    )
    answer = await fire(chain(*hooks), DELEGATE)
    assert decision(answer) == told
    assert seen == ["first", "second"]
    if told == "deny":
        assert reason(answer) == "no"


async def test_only_a_delegation_can_be_deferred() -> None:
    """Any other call would be asked for again at once, for ever: it is refused, and the hook is named."""
    answer = await fire(chain(hook("patient", answering(Defer()))), "Bash")
    assert decision(answer) == "deny"
    assert "The hook 'patient' deferred Bash" in str(reason(answer))


async def test_a_hook_is_told_of_the_call() -> None:
    """Name, id, input and replay class of the call, and the run it is made in."""
    told: list[tuple[BeforeTool, Run]] = []

    async def listens(call: BeforeTool, run: Run) -> None:
        told.append((call, run))

    run = at_work()
    await fire(chain(hook("listens", listens), run=run), "Write", tool_input={"path": "x"}, tool_use_id="t9")
    assert told == [(BeforeTool("t9", "Write", {"path": "x"}, "unsafe"), run)]


async def test_a_denial_is_recorded_and_stands_when_it_cannot_be() -> None:
    """The journal says which hook refused; a store that is away does not undo the refusal."""
    run = at_work()
    refuses = chain(hook("strict", answering(Deny("not here"))), run=run)
    await fire(refuses)
    payload = run.book.events[-1].payload
    assert payload.model_dump() == {
        "kind": "tool.denied",
        "tool_use_id": "toolu_1",
        "tool": "Bash",
        "hook": "strict",
        "reason": "not here",
    }
    run.broken = StoreUnavailable("away")
    assert decision(await fire(refuses)) == "deny"


@pytest.mark.parametrize("event", ["PostToolUse", "PostToolUseFailure"])
@pytest.mark.parametrize("on_failure", ["deny", "ignore"])
async def test_after_a_tool_every_hook_hears_of_it(event: str, on_failure: Literal["deny", "ignore"]) -> None:
    """One that fails or hangs holds up nobody; results and errors come with the call."""
    told: list[AfterTool] = []

    async def listens(call: AfterTool, run: Run) -> None:
        told.append(call)

    broken: list[Any] = [raises, hangs, raises_at_once, answering(True)]
    failing = [Hook("fails", 1, on_failure, after_tool=after) for after in broken]
    hooks = chain(*failing, hook("listens", after=listens), deadline_s=0.05)
    more = {"tool_response": [{"text": "hi"}]} if event == "PostToolUse" else {"error": "It broke."}
    assert await fire(hooks, event=event, duration_ms=7, **more) == {}
    failed = event == "PostToolUseFailure"
    result = None if failed else [{"text": "hi"}]
    expected = AfterTool("toolu_1", "Bash", {"command": "true"}, result, "It broke." if failed else None, 7)
    assert told == [expected]


@pytest.mark.parametrize("event", ["UserPromptSubmit", "PostToolBatch"])
async def test_what_hooks_say_before_a_turn_is_told_together(event: str) -> None:
    """In their order; one that fails, hangs, says nothing or gives no text is left out."""

    def says(told: Any) -> Any:
        async def speak(run: Run) -> Any:
            return told

        return speak

    spoken = [says("Two left."), raises, hangs, says(None), says(""), says(7), says("The last one.")]
    hooks = [Hook(f"h{n}", n, "ignore", before_turn=each) for n, each in enumerate(spoken)]
    answer = await fire(chain(*hooks, deadline_s=0.05), event=event)
    told = {"hookEventName": event, "additionalContext": "Two left.\n\nThe last one."}
    assert answer == {"hookSpecificOutput": told}
    assert await fire(chain(), event=event) == {}


def test_the_sdk_is_told_to_block_on_any_failure_left() -> None:
    """Should the adapter itself fail, the CLI must not run the tool; its own deadline is never the first."""
    matchers: dict[Any, Any] = dict(chain().matchers())
    before = {"UserPromptSubmit", "PostToolBatch"}
    assert set(matchers) == {"PreToolUse", "PostToolUse", "PostToolUseFailure"} | before
    for event, (matcher,) in matchers.items():
        assert matcher.on_failure == ("continue" if event in before else "block")
        assert matcher.matcher is None
        assert matcher.timeout is not None
        assert matcher.timeout > 60


# -- which hooks are in force


BUILT_IN = ["lease", "budget", "delegation", "help", "replay", "snapshot", "limits", "spans"]

PLUGIN = """
from harness.hooks import Deny, Hook

async def before(call, run):
    return Deny("{name}")

HOOK = Hook(name="{name}", order={order}, on_failure="deny", before_tool=before)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hooks").mkdir()
    return tmp_path


def add(project: Path, name: str, order: int = 15, text: str | None = None) -> Path:
    path = project / "hooks" / f"{name}.py"
    path.write_text(PLUGIN.format(name=name, order=order) if text is None else text)
    return path


def names(project: Path | None, **hooks: Any) -> list[str]:
    return [hook.name for hook in load_hooks(project, Settings(hooks=Hooks(**hooks)))]


def test_the_built_in_hooks_run_in_their_order() -> None:
    """The lease first, the checkpoint after whatever may refuse, the spans last; guards fail closed."""
    hooks = load_hooks(None, Settings())
    assert [hook.name for hook in hooks] == BUILT_IN
    assert [hook.name for hook in hooks if hook.on_failure == "ignore"] == ["limits", "spans"]


async def test_a_projects_hook_joins_at_its_place(project: Path) -> None:
    """A file in the project's folder adds a hook between the built-in ones, and it is asked."""
    add(project, "no_shell", order=15)
    assert names(project) == [
        "lease",
        "no_shell",
        "budget",
        "delegation",
        "help",
        "replay",
        "snapshot",
        "limits",
        "spans",
    ]
    answer = await fire(chain(*load_hooks(project, Settings())))
    assert reason(answer) == "no_shell"


async def test_a_projects_hook_takes_the_place_of_a_built_in_one(project: Path) -> None:
    """A file of the same name overrides it, with an order of its own."""
    add(project, "budget", order=1)
    assert names(project) == [
        "budget",
        "lease",
        "delegation",
        "help",
        "replay",
        "snapshot",
        "limits",
        "spans",
    ]
    assert reason(await fire(chain(*load_hooks(project, Settings())))) == "budget"


def test_equal_orders_are_settled_by_name(project: Path) -> None:
    """The order never depends on the file system."""
    for name in ("zebra", "apple"):
        add(project, name, order=20)
    assert names(project) == [
        "lease",
        "apple",
        "budget",
        "zebra",
        "delegation",
        "help",
        "replay",
        "snapshot",
        "limits",
        "spans",
    ]


def test_settings_disable_and_order(project: Path) -> None:
    """What the settings name comes first, in that order; what they disable does not run."""
    add(project, "mine", order=99)
    found = names(project, order=("mine", "spans"), disabled=("budget",))
    assert found == ["mine", "spans", "lease", "delegation", "help", "replay", "snapshot", "limits"]


@pytest.mark.parametrize("given", [{"disabled": ("bugdet",)}, {"order": ("x",)}, {"options": {"y": {}}}])
def test_settings_that_name_an_unknown_hook_are_refused(given: dict[str, Any]) -> None:
    """A slip would otherwise leave a guard out, or in, without a word."""
    with pytest.raises(BadSettings, match=r"a hook '\w+' that does not exist; there are budget, delegation"):
        names(None, **given)


@pytest.mark.parametrize("text", ["", "HOOK = 7\n", "from harness.hooks import Hook\nHOOK = Hook\n"])
def test_a_file_without_a_hook_is_refused(project: Path, text: str) -> None:
    """The sentence names the file and what it should define."""
    path = add(project, "empty", text=text)
    with pytest.raises(BadSettings, match="exports no hook; let it define HOOK = Hook") as caught:
        names(project)
    assert str(path) in str(caught.value)


def test_a_file_that_does_not_load_is_refused(project: Path) -> None:
    """The sentence names file and line, and there is no half-loaded chain."""
    path = add(project, "bad", text="import os\nraise RuntimeError('boom')\n")
    with pytest.raises(BadSettings, match="line 2, does not load; mend it: RuntimeError: boom") as caught:
        names(project)
    assert str(path) in str(caught.value)
