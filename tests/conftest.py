"""For all tests: the garbage collector leaves alone what lives to the end anyway."""

from __future__ import annotations

import gc


def pytest_collection_finish() -> None:
    """TensorFlow and the test files are half a million objects, which each full collection would
    walk through; a graph being built is full of new ones, which would make it walk often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
