"""The page as one text: it needs no network, and nothing in it runs but its own script."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import Any

from harness.page.markdown import report_html
from harness.page.records import PageData

_STYLES = ("page.css", "trace.css", "print.css")
_SCRIPTS = ("dom.js", "scale.js", "content.js", "tree.js", "trace.js", "page.js")
"""In this order they are one module."""


def render(data: PageData) -> str:
    """Write the page. The Content-Security-Policy lets only the page's own script and style work."""
    style, script = _joined(_STYLES), _joined(_SCRIPTS)
    outline = data.model_dump(mode="json", exclude={"report", "contents"})
    failing = {row.number for row in data.citations if row.verdict == "fails"}
    parts = {
        "POLICY": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'",
        "TITLE": html.escape(" ".join(data.facts.questions[:1]) or data.facts.session_id),
        "STYLE": style,
        "REPORT": report_html(data.report, failing) if data.report else "",
        "DATA": _embedded(outline),
        "CONTENTS": _embedded(data.contents),
        "SCRIPT": script,
    }
    # Cut up first: what is put in may hold anything, the names of other places too.
    page, *rest = _file("page.html").split("{{")
    for piece in rest:
        name, _, after = piece.partition("}}")
        page += parts[name] + after
    return page


def _embedded(value: Any) -> str:
    """JSON that no HTML parser can take for anything else: it holds no `<`, and ASCII only."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str).replace("<", "\\u003c")


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join(map(_file, names))


def _file(name: str) -> str:
    return files("harness.page").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
