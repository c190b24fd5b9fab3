"""Names in functions: outputs that a body's nodes read by name, and what inlined nodes are called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Operators of several outputs, whose names function bodies use (tensorflow/core/ops). Outputs of any other operator
# are one list, or one tensor.
OUTPUT_NAMES: dict[str, tuple[str, ...]] = {
    "FusedBatchNorm": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV2": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV3": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2", "reserve_space_3"),
    "TopK": ("values", "indices"),
    "TopKV2": ("values", "indices"),
    "Switch": ("output_false", "output_true"),
    "Merge": ("output", "value_index"),
    "MaxPoolWithArgmax": ("output", "argmax"),
    "Unique": ("y", "idx"),
    "UniqueV2": ("y", "idx"),
    "ListDiff": ("out", "idx"),
    "SetDiff1d": ("out", "idx"),
    "Moments": ("mean", "variance"),
    "LSTMBlockCell": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTM": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTMV2": ("i", "cs", "f", "o", "ci", "co", "h"),
    "GRUBlockCell": ("r", "u", "c", "h"),
    "CudnnRNN": ("output", "output_h", "output_c", "reserve_space"),
    "CudnnRNNV2": ("output", "output_h", "output_c", "reserve_space", "host_reserved"),
    "CudnnRNNV3": ("output", "output_h", "output_c", "reserve_space", "host_reserved"),
    "TensorArrayV3": ("handle", "flow"),
    "TensorListPopBack": ("output_handle", "tensor"),
    "DecodeWav": ("audio", "sample_rate"),
    "NonMaxSuppressionV4": ("selected_indices", "valid_outputs"),
    "NonMaxSuppressionV5": ("selected_indices", "selected_scores", "valid_outputs"),
    "CombinedNonMaxSuppression": ("nmsed_boxes", "nmsed_scores", "nmsed_classes", "valid_detections"),
    "BroadcastGradientArgs": ("r0", "r1"),
}

# Components of a name that say only that a function was called.
_CALL = re.compile(r"(Stateful)?PartitionedCall(_\d+)?")


def output_offset(op: str, output: str, functions: Mapping[str, Any]) -> int:
    """Position of the first tensor of a named output."""
    if op in functions:
        names = tuple(argument.name for argument in functions[op].signature.output_arg)
    else:
        names = OUTPUT_NAMES.get(op, ())
    return names.index(output) if output in names else 0


def inner_prefix(prefix: str, call: str, part: str) -> str:
    """What names in a function's body begin with: the call's name, less what says nothing."""
    parts = [item for item in call.split("/") if not _CALL.fullmatch(item)]
    return "".join(f"{item}/" for item in (prefix.rstrip("/"), *parts, part) if item)
