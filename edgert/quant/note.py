"""What the quantiser chose, as a package's metadata entry "quantization" states it: one JSON object.

    scheme       of all layers but those under "layers"
    layers       {layer: scheme} of those
    ranges       how activations got their ranges, and under "ranges_of" {tensor: another way}
    equalised    strength of equalisation, 0 for none; "rescaled" names the float tensors whose channels it changed
    corrected    whether biases were corrected, "compensated" whether weights were rounded for one another
    two_terms    int16 layers whose weights have two terms; "spared": int8 layers where int4 would cost too much
    front        whether a filter bank before logarithms stays float
    sqnr_db      of the results, on samples held back

Entries that are empty or false are left out. edgert.report reads it.
"""

from __future__ import annotations

import json
import math
from typing import Any

from edgert.quant.choices import Choice
from edgert.quant.schemes import Plan

KEY = "quantization"


def note(plan: Plan, choice: Choice, rescaled: tuple[str, ...]) -> str:
    """The entry's text; the same choice gives the same one."""
    known: dict[str, Any] = {
        "scheme": plan.default.name,
        "layers": {name: scheme.name for name, scheme in sorted(plan.layers.items()) if scheme != plan.default},
        "ranges": choice.ranges,
        "ranges_of": dict(sorted(choice.exceptions.items())),
        "equalised": choice.strength,
        "rescaled": sorted(rescaled),
        "corrected": choice.correct,
        "compensated": choice.compensate,
        "two_terms": sorted(choice.fine),
        "front": choice.front,
        "spared": sorted(choice.spared),
        "sqnr_db": round(choice.sqnr, 2) if math.isfinite(choice.sqnr) else None,
    }
    stated = {key: value for key, value in known.items() if value}
    return json.dumps(stated, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
