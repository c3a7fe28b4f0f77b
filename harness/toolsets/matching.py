"""A search for a regular expression in files, run as a process of its own so that it can be ended.

Takes {"pattern", "ignore_case", "files": [[path, name]], "limit", "most_bytes", "cpu_s"} as JSON on its input
and prints {"lines": [{"path", "line", "text"}], "more", "skipped"}, or {"problem"} for a bad expression. It
imports nothing but the standard library, so that it starts fast.
"""

import json
import re
import resource
import sys
from typing import Any

WIDEST = 400
"""Characters of a line that are given."""

_SNIFFED = 8192


def search(given: dict[str, Any]) -> dict[str, Any]:
    """Find the first lines that fit. Binary, large and unreadable files are skipped and counted."""
    try:
        pattern = re.compile(given["pattern"], re.IGNORECASE if given["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError) as problem:
        return {"problem": str(problem)}
    lines: list[dict[str, Any]] = []
    skipped = 0
    for path, name in given["files"]:
        data = _bytes(path, given["most_bytes"])
        if data is None:
            skipped += 1
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
            match = pattern.search(line)
            if match is None:
                continue
            if len(lines) == given["limit"]:
                return {"lines": lines, "more": True, "skipped": skipped}
            start = max(0, min(match.start() - WIDEST // 4, len(line) - WIDEST))
            lines.append({"path": name, "line": number, "text": line[start : start + WIDEST].rstrip("\r")})
    return {"lines": lines, "more": False, "skipped": skipped}


def _bytes(path: str, most: int) -> bytes | None:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError:
        return None
    return None if len(data) > most or b"\0" in data[:_SNIFFED] else data


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    # Should the harness be killed, nobody else would end this.
    resource.setrlimit(resource.RLIMIT_CPU, (asked["cpu_s"], asked["cpu_s"]))
    json.dump(search(asked), sys.stdout)
