"""MXNet symbols. symbol.py and params.py read the files, importer.py walks the nodes; the others hold handlers."""

from edgert.importers.mxnet.importer import HANDLERS, load

__all__ = ["HANDLERS", "load"]
