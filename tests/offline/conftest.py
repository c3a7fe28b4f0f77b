"""The documents of most tests, in memory."""

from __future__ import annotations

import pytest

from .documents import DOCUMENTS
from .simulator import Corpus


@pytest.fixture
def corpus() -> Corpus:
    """The documents, cut into short passages."""
    return Corpus(DOCUMENTS, passage=300)
