"""Prometheus' text format: what is written is read back as it was meant."""

from __future__ import annotations

from harness.metrics.exposition import Counter, Histogram, Metric, Sample, written
from tests.kit.metrics import parsed

SEEN = Metric("seen_total", "counter", "What was seen.", ("who", "where"))
DEPTH = Metric("depth_metres", "gauge", "How deep.")
WAIT = Metric("wait_seconds", "histogram", "How long.", buckets=(0.5, 1.0, 60.0))


def test_any_text_may_be_a_label() -> None:
    """Quotes, backslashes and line breaks come back."""
    said = ('a "b" \\n c', "two\nlines \\")
    assert parsed(written([Sample(SEEN, said, 2)])) == {("seen_total", *said): 2}


def test_samples_of_one_metric_stand_under_one_heading() -> None:
    """In whatever order they were given; numbers are exact."""
    samples = [Sample(SEEN, ("a", "b"), 1), Sample(DEPTH, (), -0.1), Sample(SEEN, ("a", "c"), 2**53)]
    text = written(samples)
    assert text.count("# TYPE seen_total counter\n") == 1
    assert parsed(text) == {
        ("seen_total", "a", "b"): 1,
        ("seen_total", "a", "c"): 2**53,
        ("depth_metres",): -0.1,
    }


def test_a_counter_begins_at_zero_where_its_labels_are_known() -> None:
    """Without that, the first growth would not be seen as one."""
    assert Counter(SEEN).samples() == []
    assert Counter(DEPTH).samples() == [Sample(DEPTH, (), 0)]
    seen = Counter(SEEN, ("a", "b"))
    seen.add(2, "a", "c")
    seen.add(3, "a", "c")
    assert seen.samples() == [Sample(SEEN, ("a", "b"), 0), Sample(SEEN, ("a", "c"), 5)]


def test_the_buckets_of_a_histogram_are_cumulative() -> None:
    """A value on a bound lies within it."""
    waits = Histogram(WAIT)
    for value in (0.1, 0.5, 0.7, 61):
        waits.observe(value)
    found = parsed(written([], [waits]))
    buckets = {bound: found["wait_seconds_bucket", bound] for bound in ("0.5", "1", "60", "+Inf")}
    assert buckets == {"0.5": 2, "1": 3, "60": 3, "+Inf": 4}
    assert (found["wait_seconds_count",], found["wait_seconds_sum",]) == (4, 62.3)
