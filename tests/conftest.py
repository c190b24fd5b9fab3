"""Fixtures for data that the repository does not carry."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["EDGERT_CACHE"] = "off"  # what tests compute is no result for the person who runs them

# A shell that starts the tests in the background has Ctrl-C ignored in all that they start, and some test just that.
signal.signal(signal.SIGINT, signal.default_int_handler)

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """shared_data("tflite/kws_dscnn_int8.tflite") is that file; a missing one is named in the skip."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"needs {name} in {DATA}")
        return path

    return find
