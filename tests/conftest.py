"""Fixtures for data that the repository does not carry."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["EDGERT_CACHE"] = "off"  # what tests compute is no result for the person who runs them

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
