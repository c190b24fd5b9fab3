"""TFLite models. importer.py reads a file and walks its operators; the other modules hold handlers, a theme each."""

from edgert.importers.tflite.importer import HANDLERS, load, load_file

__all__ = ["HANDLERS", "load", "load_file"]
