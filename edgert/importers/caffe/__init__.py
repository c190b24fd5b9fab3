"""Caffe networks. read.py reads the two files, importer.py walks their layers; other modules hold handlers."""

from edgert.importers.caffe.importer import HANDLERS, load

__all__ = ["HANDLERS", "load"]
