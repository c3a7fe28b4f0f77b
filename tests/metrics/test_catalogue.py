"""The metrics are named as Prometheus asks, documented, and all that alarms speak of."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from harness.metrics.catalogue import EVERY
from harness.metrics.exposition import Metric
from tests.checkout import ROOT

GUIDE = (ROOT / "docs" / "operations.md").read_text("utf-8")
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
PROMQL = {
    "absent",
    "and",
    "by",
    "delta",
    "increase",
    "max",
    "min_over_time",
    "or",
    "predict_linear",
    "rate",
    "sum",
}
PROMQL |= {"unless"}
TARGETS = {"instance", "job"}
"""Labels that Prometheus adds to whatever it scrapes."""


@pytest.mark.parametrize("metric", EVERY.values(), ids=lambda metric: metric.name)
def test_a_metric_is_named_by_the_conventions(metric: Metric) -> None:
    """A prefix, plain words, the base unit at the end, and _total for what only grows."""
    assert re.fullmatch(r"(harness|process)_[a-z_]+[a-z]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", metric.name)
    assert re.fullmatch(r"[A-Z][^\n]*\.", metric.help)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert "le" not in metric.labels


def test_the_guide_lists_every_metric_with_its_labels() -> None:
    """And none that is gone."""
    rows = re.findall(r"^\| `((?:harness|process)_\w+)` \| ([^|]*) \|", GUIDE, re.MULTILINE)
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == {
        metric.name: metric.labels for metric in EVERY.values()
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alarm_names_what_there_is(rule: dict[str, Any]) -> None:
    """Each word of its expression is a metric, a label of one, or one of Prometheus' own."""
    plain = re.sub(r'"[^"]*"', "", rule["expr"])
    words = set(re.findall(r"(?<![\w.])[a-z_]{2,}\w*", re.sub(r"\[[^\]]*\]", "", plain)))
    metrics = words & EVERY.keys()
    labels = {label for name in metrics for label in EVERY[name].labels}
    assert metrics
    assert words - metrics <= PROMQL | TARGETS | labels
    for name, matched in re.findall(r"(\w+)\{([^}]*)\}", plain):
        assert set(re.findall(r"\w+", matched)) <= TARGETS | set(EVERY[name].labels)
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert re.fullmatch(r"([A-Z]|\{\{).*\.", rule["annotations"]["summary"])


def test_the_runbook_has_an_entry_for_each_alarm() -> None:
    """Under its name, and none for one that is gone; each says what it means, how to look and what to do."""
    runbook = GUIDE.partition("\n## Runbook\n")[2]
    entries = {
        name: text for name, text in re.findall(r"^### (Harness\w+)\n(.*?)(?=^##|\Z)", runbook, re.M | re.S)
    }
    assert sorted(entries) == sorted(rule["alert"] for rule in RULES)
    for name, text in entries.items():
        for part in ("**Means**", "**Look**", "**Do**"):
            assert part in text, f"{name} lacks {part}"
