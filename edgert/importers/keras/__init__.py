"""Keras models: .keras archives, and .h5 files of Keras 1.2 to 3, read with h5py alone."""

from edgert.importers.keras.importer import HANDLERS, load

__all__ = ["HANDLERS", "load"]
