"""Every metric there is. Alerts name them (`deploy/alerts.yml`), and `docs/operations.md` lists them."""

from __future__ import annotations

from harness.metrics.exposition import Metric

_OF_THE_STORE = "the same from each worker"

STORE_UP = Metric("harness_store_up", "gauge", "Whether Postgres answered this scrape in time.")
SESSIONS = Metric(
    "harness_sessions",
    "gauge",
    "Sessions that have not ended: due, later (due then), at_work, or waiting for a person; "
    f"{_OF_THE_STORE}.",
    ("tenant", "queue", "standing"),
)
OLDEST_DUE = Metric(
    "harness_sessions_oldest_due_age_seconds",
    "gauge",
    f"Seconds for which the oldest due session has been due; {_OF_THE_STORE}.",
    ("tenant", "queue"),
)
MOST_CLAIMS = Metric(
    "harness_sessions_most_claims",
    "gauge",
    f"How often, at most, workers have taken a session up since it last got on; {_OF_THE_STORE}.",
    ("tenant", "queue"),
)
SPANS_WAITING = Metric(
    "harness_spans_waiting",
    "gauge",
    f"Ended spans that their receiver has not got, up to 100000; none without a receiver; {_OF_THE_STORE}.",
)
STORE_SIZE = Metric("harness_store_size_bytes", "gauge", f"Bytes of the database on disk; {_OF_THE_STORE}.")

BUILD = Metric("harness_build_info", "gauge", "Always 1, with the version of the harness.", ("version",))
PLACES = Metric("harness_worker_places", "gauge", "Sessions that this worker may have at work.")
AT_WORK = Metric("harness_worker_sessions", "gauge", "Sessions that this worker has at work.")
DRAINING = Metric("harness_worker_draining", "gauge", "Whether this worker takes nothing up any more.")
LOOKED = Metric(
    "harness_worker_last_look_age_seconds", "gauge", "Seconds since this worker last looked for due sessions."
)
RUNS_AT_WORK = Metric("harness_agent_runs_at_work", "gauge", "Agent runs at work in this worker's sessions.")
MEMORY = Metric("process_resident_memory_bytes", "gauge", "Resident memory of the worker.")
AGENTS_MEMORY = Metric(
    "harness_agents_resident_memory_bytes",
    "gauge",
    "Resident memory of all that the worker has started.",
)

CLAIMED = Metric("harness_sessions_claimed_total", "counter", "Sessions that this worker has taken up.")
LEFT = Metric(
    "harness_sessions_left_total",
    "counter",
    "Sessions that this worker has left, by how: a session's status, lease_lost or dropped.",
    ("status",),
)
WAIT = Metric(
    "harness_session_wait_seconds",
    "histogram",
    "Seconds that sessions could have been taken up before they were.",
    buckets=(0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0),
)
CALLS = Metric("harness_model_calls_total", "counter", "Model calls that were answered.", ("model",))
TOKENS = Metric("harness_model_tokens_total", "counter", "Tokens of answered model calls.", ("model", "kind"))
COST = Metric(
    "harness_model_cost_dollars_total",
    "counter",
    "US dollars at list prices, as far as prices are known.",
    ("model",),
)
RETRIES = Metric(
    "harness_model_retries_total",
    "counter",
    "Attempts of model calls that failed and were repeated, by HTTP status; none without one.",
    ("status",),
)
FAILURES = Metric(
    "harness_model_failures_total",
    "counter",
    "Model calls that brought no answer in the end, by HTTP status; none without one.",
    ("status",),
)
UNATTRIBUTED = Metric(
    "harness_model_unattributed_calls_total",
    "counter",
    "Requests whose use of tokens is not known.",
)

EVERY: dict[str, Metric] = {value.name: value for value in list(vars().values()) if isinstance(value, Metric)}
"""All of them by name."""
