"""What an agent is told when its process starts: its system prompt, and the first words of this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from harness.context import RunView
from harness.hooks import Run
from harness.limits import Allowed, next_call
from harness.prompts import render
from harness.resume import Prompt, Refire, ResumePoint, has_heard
from harness.transcript import Entry


def system_prompt(view: RunView) -> str:
    """The bundle's prompt; for one who delegates, with the rules of delegation and the members on offer."""
    if not view.run.members:
        return view.bundle.prompt
    offer = "\n".join(f"- {member.one_pager}" for member in view.members.values())
    return render("lead", view.project, prompt=view.bundle.prompt, agents=offer)


def word_on_limits(view: Run) -> str | None:
    """What an agent is told before its next model call of a limit that is nearly used up; mostly nothing."""
    match next_call(view.state, view.run, auxiliary=False):
        case Allowed(last_turn=str(limit)):
            return render("last_turn", view.project, reason=f"Your limit of {limit} is nearly used up.")
        case Allowed(left=str(left)):
            return render("little_left", view.project, left=left)
        case _:
            return None


def first_words(
    view: RunView, point: ResumePoint, transcript: Sequence[Entry], sources: Callable[[], str]
) -> str | None:
    """The prompt this process begins with; None when it resumes at a call and nothing is said."""
    match point:
        case Refire():
            return None
        case Prompt() if view.run.told is not None and not has_heard(view.run, transcript):
            return _told(view, view.run.told)
        case Prompt():
            return render("resume", view.project)
        case _ if view.run.told is not None:
            # Nothing of its work is left, so that it does not know what the answer was like.
            return f"{_task(view, sources)}\n\n{_told(view, view.run.told)}"
        case _:
            return _task(view, sources)


def _told(view: RunView, told: str) -> str:
    """What was wrong with its answer, or the answer to its call for help."""
    verdicts = view.run.verdicts
    if verdicts and verdicts[-1].problem == told:
        return render("fix", view.project, problem=told)
    return render("granted", view.project, answer=told)


def _task(view: RunView, sources: Callable[[], str]) -> str:
    run, payload = view.run, view.run.task.payload
    if run.continues:
        return render("follow_up", view.project, question=payload["question"])
    if run.task.source == "person" and payload.keys() == {"question"}:
        return render("question", view.project, question=payload["question"], sources=sources())
    task = json.dumps(payload, ensure_ascii=False, indent=2)
    return render("task", view.project, task=task)
