"""What all tests of `perf` take."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def ctrl_c_arrives() -> Iterator[None]:
    """Workers of pytest-xdist ignore it, so that they outlive the one that is meant for pytest itself."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
