"""PyTorch: modules, exported programs (.pt2) and TorchScript archives (.pt, .jit)."""

from edgert.importers.torch.importer import HANDLERS, load, load_object

__all__ = ["HANDLERS", "load", "load_object"]
