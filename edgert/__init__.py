"""edgert: an int8 inference runtime for phones and small Linux boards.

    model = edgert.load("model.ert")
    outputs = model(image)

Names are looked up when they are used, so that `import edgert` itself is quick and loads neither NumPy nor Click.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgert.compile import convert as convert
    from edgert.custom import CustomOp as CustomOp
    from edgert.custom import TensorType as TensorType
    from edgert.custom import add_custom_op as add_custom_op
    from edgert.custom import remove_custom_op as remove_custom_op
    from edgert.dtypes import DType as DType
    from edgert.errors import EdgertError as EdgertError
    from edgert.quant.budget.goal import Goal as Goal
    from edgert.quant.budget.search import Budget as Budget
    from edgert.quant.budget.search import BudgetError as BudgetError
    from edgert.runtime.compat import Interpreter as Interpreter
    from edgert.runtime.model import Model as Model
    from edgert.runtime.model import load as load

_HOMES = {
    "Budget": "edgert.quant.budget.search",
    "BudgetError": "edgert.quant.budget.search",
    "CustomOp": "edgert.custom",
    "DType": "edgert.dtypes",
    "TensorType": "edgert.custom",
    "add_custom_op": "edgert.custom",
    "remove_custom_op": "edgert.custom",
    "EdgertError": "edgert.errors",
    "Goal": "edgert.quant.budget.goal",
    "Interpreter": "edgert.runtime.compat",
    "Model": "edgert.runtime.model",
    "convert": "edgert.compile",
    "load": "edgert.runtime.model",
}

__all__ = [
    "Budget", "BudgetError", "CustomOp", "DType", "EdgertError", "Goal", "Interpreter", "Model", "TensorType",
    "__version__", "add_custom_op", "convert", "load", "remove_custom_op",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'edgert' has no attribute {name!r}")
    try:
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise without_toolchain(error, f"edgert.{name}") from error
    return value


def without_toolchain(error: ModuleNotFoundError, what: str) -> Exception:
    """What to raise for a module that is not there: the runtime's wheel has no toolchain."""
    if not (error.name or "").startswith("edgert."):
        return error
    from edgert.errors import EdgertError

    return EdgertError(
        f"{what} is no part of edgert's runtime wheel, which is installed here; install the whole of edgert"
    )
