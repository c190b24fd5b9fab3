"""ONNX models. importer.py reads a file, walk.py walks its nodes; the other modules hold handlers, a theme each.

HANDLERS are all operators that are known: those with handlers, control flow, which is taken apart, those that are only
computed beforehand, and those that ONNX's own function bodies define.
"""

from collections.abc import Mapping
from typing import Any

from edgert.importers.onnx import importer
from edgert.importers.onnx.constants import ONLY_FOLDED, Folder
from edgert.importers.onnx.control import CONTROL
from edgert.importers.onnx.functions import BY_FUNCTION, expand
from edgert.importers.onnx.importer import load

HANDLERS: Mapping[str, Any] = {
    **dict.fromkeys(sorted(BY_FUNCTION), expand),
    **dict.fromkeys(sorted(ONLY_FOLDED), Folder.fold),
    **CONTROL,
    **importer.HANDLERS,
}

__all__ = ["HANDLERS", "load"]
