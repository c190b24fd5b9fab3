"""What stands on the device in these tests: programs that ssh and adb start there."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path


def write_edgert(folder: Path) -> Path:
    """`folder`/edgert, which runs the edgert that is tested: a login's environment does not name this Python."""
    path = os.environ.get("PYTHONPATH", "")
    return write_program(
        folder / "edgert", f'PYTHONPATH={shlex.quote(path)} exec {shlex.quote(sys.executable)} -P -m edgert "$@"'
    )


def write_program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
