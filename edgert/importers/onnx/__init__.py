"""ONNX models. importer.py reads a file and walks its nodes; the other modules hold its handlers, a theme each."""

from edgert.importers.onnx.importer import HANDLERS, load

__all__ = ["HANDLERS", "load"]
