"""The names that only one session has: its ids, and the folders its agents worked in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath

from harness.state import SessionState


class Names:
    """What is called otherwise in every session, each with a word that is the same in all of them."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = {name: word for name, word in words.items() if name}
        # The longest first, for a folder's name holds the ids.
        known = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None

    @classmethod
    def of(cls, state: SessionState) -> Names:
        """Collect the names of a session, as far as its journal goes."""
        words = {state.id: "<session>"}
        for run in state.runs.values():
            words[run.id] = f"<agent run {run.path}>"
            if run.claude_session_id:
                words.setdefault(run.claude_session_id, f"<conversation {run.path}>")
            for folder in run.folders:
                words[folder] = f"<folder of {run.path}>"
                words[str(PurePath(folder).parent)] = "<folder of the session>"
        return cls(words)

    def masked(self, text: str) -> str:
        """The text with each name replaced by its word."""
        return self._pattern.sub(lambda found: self._words[found[0]], text) if self._pattern else text

    def translated(self, text: str, other: Names) -> str:
        """The text with each name replaced by what the same is called in the other session."""
        theirs = {word: name for name, word in other._words.items()}
        ours = {name: theirs.get(word, name) for name, word in self._words.items()}
        return self._pattern.sub(lambda found: ours[found[0]], text) if self._pattern else text
