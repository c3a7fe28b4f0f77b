"""What goes wrong, by a seed: with the model, with tools, with whole subagents and with the program itself.

The model is played as in `played`, but some calls are refused, cut off or garbled, the first time that a
step is asked for; some researchers answer with words instead of what they found, once; and some are poisoned:
whatever they are asked, they look again and again, never say what they found, or their calls are refused for
good. Who gets a poisoned one's subject next is well.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from benchmarks.comparison import played
from benchmarks.comparison.work import RESEARCHER
from tests.kit.script import Reply, Request, refused, text, tool_use

Poison = Literal["loops", "rambles", "is refused"]

CALLS: Mapping[str, Reply] = {
    "429": refused(429, "Too many requests.", retry_after=1),
    "529": refused(529, "Overloaded."),
    "500": refused(500, "Internal error."),
    "cut in a block": Reply(fault="cut_mid_block"),
    "cut before its end": Reply(fault="cut_before_stop"),
    "malformed": Reply(fault="malformed"),
    "an error in the stream": Reply(fault="error_event"),
}
"""What can happen to a model call."""

POISONS: tuple[Poison, ...] = ("loops", "rambles", "is refused")

CALL_SHARE, PROSE_SHARE, SLOW_SHARE, POISON_SHARE, KILL_SHARE = 0.12, 0.1, 0.05, 0.1, 0.2
"""Of model calls, of researchers' answers, of researchers' tools, of researchers, and of programs."""

PROSE = "I have found out all that there is to know about it."

_struck: set[str] = set()


@dataclass(frozen=True)
class Trouble:
    """What goes wrong under a seed, each time the same. Without a seed nothing does."""

    seed: int | None

    def of_call(self, step: str) -> str | None:
        """What happens to a step's first model call, a key of CALLS."""
        dice = self._dice("call", step)
        return dice.choice([*CALLS]) if self._strikes(dice, CALL_SHARE) else None

    def rambling(self, subject: str) -> bool:
        """Whether its researcher first answers with words."""
        return self._strikes(self._dice("prose", subject), PROSE_SHARE)

    def slow(self, subject: str) -> bool:
        """Whether the first look at it hangs."""
        return self._strikes(self._dice("slow", subject), SLOW_SHARE)

    def poison(self, subject: str) -> Poison | None:
        """How its first researcher is poisoned."""
        dice = self._dice("poison", subject)
        return dice.choice(POISONS) if self._strikes(dice, POISON_SHARE) else None

    def kill(self, number: int) -> float | None:
        """After which share of the usual time a piece of work's program is killed."""
        dice = self._dice("kill", str(number))
        return dice.uniform(0.1, 1.0) if self._strikes(dice, KILL_SHARE) else None

    def _dice(self, *about: str) -> random.Random:
        return random.Random(f"{self.seed} {about}")

    def _strikes(self, dice: random.Random, share: float) -> bool:
        return self.seed is not None and dice.random() < share


def plays(request: Request, seed: int | None, call_s: float) -> Reply:
    """Play lead and researchers, troubled."""
    trouble = Trouble(seed)
    usual = played.plays(request, call_s)
    subject, step = played.subject_of(request), played.stage_of(request)
    if RESEARCHER in request.system_text:
        poison = trouble.poison(subject)
        if poison and played.ONCE_MORE not in request.first_user_text:
            return replace(_poisoned(request, poison), first_token_s=call_s)
    kind = trouble.of_call(step)
    if kind and _first(step):
        bad = CALLS[kind]
        return replace(usual, fault=bad.fault, status=bad.status, error=bad.error, headers=bad.headers)
    answers = RESEARCHER in request.system_text and not played.calls(usual)
    if answers and trouble.rambling(subject) and _first(f"{step} rambles"):
        return replace(usual, content=[text(PROSE)])
    return usual


def _first(what: str) -> bool:
    known = what in _struck
    _struck.add(what)
    return not known


def _poisoned(request: Request, poison: Poison) -> Reply:
    look = played.look_of(request)
    if poison == "is refused":
        return refused(400, "This cannot be answered.")
    if poison == "loops" and look is not None:
        return Reply([tool_use(look, {"subject": played.subject_of(request), "step": 0})])
    return Reply([text(PROSE)])
