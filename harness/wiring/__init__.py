"""Wiring: a flow is held against its bundles before anything starts, and every input gets its source."""

from harness.wiring.offer import input_of, one_pager
from harness.wiring.wire import warnings, wire

__all__ = ["input_of", "one_pager", "warnings", "wire"]
