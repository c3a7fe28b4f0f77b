"""Prompts are files: `prompts/<name>.md` with `{{placeholders}}`, the user's before the built-in one.

What varies stands last in each of them, so that calls which share a beginning share the prompt cache.
"""

from __future__ import annotations

import re
from pathlib import Path

from harness.content import prompt_files
from harness.errors import BadSettings
from harness.wording import nearest

_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}")


def render(name: str, project: Path | None, /, **values: str) -> str:
    """Give the text of a prompt with its placeholders filled in.

    Values are put in once: what looks like a placeholder within a value stays as it is. Lines at the very end
    of the file are stripped.

    Raises:
        BadSettings: there is no such prompt, or the file's placeholders are not exactly the given values.
    """
    files = prompt_files(project)
    if name not in files:
        raise BadSettings(f"There is no prompt '{name}'{nearest(name, files)}; add it as prompts/{name}.md.")
    path = files[name]
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"The prompt {path} cannot be read as UTF-8 text: {error}.") from error
    wanted = set(_PLACEHOLDER.findall(text))
    if missing := sorted(wanted - values.keys()):
        offered = ", ".join(f"{{{{{value}}}}}" for value in sorted(values)) or "none"
        raise BadSettings(
            f"The prompt {path} has the placeholder {{{{{missing[0]}}}}}, which has no value here; "
            f"it may use: {offered}."
        )
    if unused := sorted(values.keys() - wanted):
        raise BadSettings(
            f"The prompt {path} lacks the placeholder {{{{{unused[0]}}}}}; put it where that text belongs."
        )
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text).rstrip()
