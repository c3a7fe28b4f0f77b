"""What an agent is told when its process starts: its system prompt, and the first words of this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from harness.context import RunView
from harness.prompts import render
from harness.resume import Prompt, Refire, ResumePoint, has_heard
from harness.transcript import Entry


def system_prompt(view: RunView) -> str:
    """The bundle's prompt; for one who delegates, with the rules of delegation and the members on offer."""
    if not view.run.members:
        return view.bundle.prompt
    offer = "\n".join(f"- {member.one_pager}" for member in view.members.values())
    return render("lead", view.project, prompt=view.bundle.prompt, agents=offer)


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
