"""What people get wrong with metrics; see `bad_rows`."""

from __future__ import annotations

from tests.cli.bad_rows import Row, write

METRICS = (
    Row("metrics port", ("worker", "--metrics-port", "70000"), ("--metrics-port", "70000", "65535")),
    Row(
        "metrics port in the environment",
        ("worker",),
        ("HARNESS_METRICS_PORT", "integer"),
        env={"HARNESS_METRICS_PORT": "http"},
    ),
    Row(
        "metrics at an address of another machine",
        ("worker", "--metrics-port", "0"),
        ("cannot be served at 192.0.2.1", "worker.metrics_host"),
        env={"HARNESS_METRICS_HOST": "192.0.2.1"},
    ),
    Row(
        "metrics at no address",
        ("worker", "--metrics-port", "0"),
        ("metrics' host .* is no address", "correct worker.metrics_host"),
        prepare=write("harness.toml", f'[worker]\nmetrics_host = "{"a" * 70}.invalid"\n'),
    ),
)
