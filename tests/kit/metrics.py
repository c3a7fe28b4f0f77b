"""Reads Prometheus' text format as strictly as its specification asks for."""

from __future__ import annotations

import re

Scraped = dict[tuple[str, ...], float]
"""Values by name and values of labels: `found["harness_model_calls_total", "claude"]`."""

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\[\\n"])*)"'
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL},?)+)\}})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+Inf|NaN)")
_ESCAPED = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}


def parsed(text: str) -> Scraped:
    """Read a page; AssertionError names a line that is none, a metric without a heading, or a value twice."""
    found: Scraped = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if heading := re.fullmatch(rf"# (HELP|TYPE) ({_NAME}) (.+)", line):
            if heading[1] == "TYPE":
                assert heading[2] not in kinds, f"{heading[2]} has two headings"
                assert heading[3] in ("counter", "gauge", "histogram")
                kinds[heading[2]] = heading[3]
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample is not None, f"no sample: {line}"
        family = re.sub(r"_(bucket|sum|count)$", "", sample[1])
        assert sample[1] in kinds or kinds.get(family) == "histogram", f"no heading: {line}"
        labels = [_plain(value) for _, value in re.findall(_LABEL, sample[2] or "")]
        assert (sample[1], *labels) not in found, f"twice: {line}"
        found[(sample[1], *labels)] = float(sample[5])
    return found


def _plain(value: str) -> str:
    return re.sub(r'\\[\\n"]', lambda escaped: _ESCAPED[escaped[0]], value)
