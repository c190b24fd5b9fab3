"""Torch7 networks. read.py reads the file, importer.py walks the modules; other modules hold handlers."""

from edgert.importers.torch7.importer import HANDLERS, load

__all__ = ["HANDLERS", "load"]
