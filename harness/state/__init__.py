"""The state of a session: a fold over its journal, and nothing else.

`SessionState.apply` takes events in order. Everything that decides (the planner, the resume point, the
limits, the screen) reads this fold, so a fresh process that reads the journal knows what the dead one knew.
"""

from harness.state.board import Write, values
from harness.state.naming import label, named, subject
from harness.state.run import Decision, Delegation, ModelCall, RunState, ToolCall
from harness.state.session import SessionState, fold
from harness.state.spent import Spent
from harness.state.trace import Moves, Step, Trace

__all__ = [
    "Decision",
    "Delegation",
    "ModelCall",
    "Moves",
    "RunState",
    "SessionState",
    "Spent",
    "Step",
    "ToolCall",
    "Trace",
    "Write",
    "fold",
    "label",
    "named",
    "subject",
    "values",
]
