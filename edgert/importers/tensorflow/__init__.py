"""TensorFlow: frozen graphs and SavedModels with protobuf alone, concrete functions through TensorFlow."""

from edgert.importers.tensorflow.importer import HANDLERS, OPERATORS, load
from edgert.importers.tensorflow.saved_model import load_function, load_saved_model

__all__ = ["HANDLERS", "OPERATORS", "load", "load_function", "load_saved_model"]
