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
    run = view.run
    match point:
        case Refire():
            return None
        case Prompt() if run.told is not None and not has_heard(run, transcript):
            sent_back = bool(run.verdicts) and run.verdicts[-1].problem == run.told
            if sent_back:
                return render("fix", view.project, problem=run.told)
            return render("granted", view.project, answer=run.told)
        case Prompt():
            return render("resume", view.project)
        case _ if run.continues:
            return render("follow_up", view.project, question=run.task.payload["question"])
        case _ if run.task.source == "person" and run.task.payload.keys() == {"question"}:
            question = run.task.payload["question"]
            return render("question", view.project, question=question, sources=sources())
        case _:
            task = json.dumps(run.task.payload, ensure_ascii=False, indent=2)
            return render("task", view.project, task=task)
