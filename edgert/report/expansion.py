"""What opening a model costs whose weights are stored in fewer bytes than they are computed with.

A session expands them when it is made (ert_session_expansion in edgert.h): once, one layer at a time, and gives back
what kernels have packed.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from edgert.report.console import size_text
from edgert.runtime import _native
from edgert.runtime.tensors import TensorInfo, tensor_info


@dataclass(frozen=True)
class Expansion:
    """Of a whole model.

    operators: those that expand; ran: those of them whose result anybody needed (where the package brings packed
    weights, nobody does). stored_bytes: of the constants that they read. bytes: of what they made, results on the way
    to others included; kept_bytes: of those that stay in memory. ms: for all of them together.
    """

    operators: int
    ran: int
    stored_bytes: int
    bytes: int
    kept_bytes: int
    ms: float

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        stored = f"weights of {size_text(self.stored_bytes)}"
        if not self.ran:
            return f"nothing at opening: {stored} lie packed in the file, too"
        some = "" if self.ran == self.operators else f" ({self.ran} of {self.operators} operators)"
        kept = size_text(self.kept_bytes) if self.kept_bytes else "nothing"
        return f"{stored} to {size_text(self.bytes)} at opening{some} in {self.ms:.1f} ms; {kept} of it stays"


def expansion(session: _native.Session) -> Expansion | None:
    """What a session expanded; None when its model stores all weights as they are computed with."""
    native = session.model
    infos: dict[int, TensorInfo] = {}
    made: set[int] = set()
    facts = []
    for op in range(native.op_count):
        found = session.expansion(op)
        if found is None:
            continue
        facts.append(found)
        _, _, inputs, outputs = native.op(op)
        infos.update((at, tensor_info(session, at)) for at in inputs if at >= 0)
        made.update(outputs)
    if not facts:
        return None
    return Expansion(
        operators=len(facts),
        ran=sum(size > 0 for size, _, _ in facts),
        stored_bytes=sum(math.prod(info.shape) * info.dtype.itemsize for at, info in infos.items() if at not in made),
        bytes=sum(size for size, _, _ in facts),
        kept_bytes=sum(kept for _, kept, _ in facts),
        ms=sum(time for _, _, time in facts) / 1e6,
    )


def of_operator(session: _native.Session, op: int) -> dict[str, Any] | None:
    """One operator's part, for JSON; None for one that runs with the others."""
    found = session.expansion(op)
    if found is None:
        return None
    size, kept, time = found
    return {"bytes": size, "kept_bytes": kept, "us": time / 1000}
