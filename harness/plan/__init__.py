"""The planner: `plan(flow, state)` says what can run now, and nothing else decides it."""

from harness.plan.planner import Planner, plan, task_run_id, verifier_run_id
from harness.plan.routing import results_so_far
from harness.plan.step import Place, Plan, RunSpec, payload_of, result_of

__all__ = [
    "Place",
    "Plan",
    "Planner",
    "RunSpec",
    "payload_of",
    "plan",
    "result_of",
    "results_so_far",
    "task_run_id",
    "verifier_run_id",
]
