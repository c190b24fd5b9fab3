"""Every operator, in the order of its code. A new one has a file here and a line in ALL_OPS (see README)."""

from __future__ import annotations

from edgert.ops._def import OpDef, QuantRule, TensorSpec
from edgert.ops.add import ADD
from edgert.ops.arg_max import ARG_MAX
from edgert.ops.assign import ASSIGN
from edgert.ops.average_pool2d import AVERAGE_POOL2D
from edgert.ops.binary import BINARY
from edgert.ops.broadcast_to import BROADCAST_TO
from edgert.ops.cast import CAST
from edgert.ops.compare import COMPARE
from edgert.ops.concat import CONCAT
from edgert.ops.conv2d import CONV2D
from edgert.ops.copy import COPY
from edgert.ops.cumsum import CUMSUM
from edgert.ops.custom import CUSTOM
from edgert.ops.depth_to_space import DEPTH_TO_SPACE
from edgert.ops.depthwise_conv2d import DEPTHWISE_CONV2D
from edgert.ops.dequantize import DEQUANTIZE
from edgert.ops.detection_postprocess import DETECTION_POSTPROCESS
from edgert.ops.fully_connected import FULLY_CONNECTED
from edgert.ops.gather import GATHER
from edgert.ops.gather_elements import GATHER_ELEMENTS
from edgert.ops.gather_nd import GATHER_ND
from edgert.ops.gru import GRU
from edgert.ops.log_softmax import LOG_SOFTMAX
from edgert.ops.lstm import LSTM
from edgert.ops.lut import LUT
from edgert.ops.matmul import MATMUL
from edgert.ops.max_pool2d import MAX_POOL2D
from edgert.ops.mul import MUL
from edgert.ops.non_max_suppression import NON_MAX_SUPPRESSION
from edgert.ops.pad import PAD
from edgert.ops.prelu import PRELU
from edgert.ops.quantize import QUANTIZE
from edgert.ops.reduce import REDUCE
from edgert.ops.reshape import RESHAPE
from edgert.ops.resize import RESIZE
from edgert.ops.rnn import RNN
from edgert.ops.scatter_elements import SCATTER_ELEMENTS
from edgert.ops.scatter_nd import SCATTER_ND
from edgert.ops.select import SELECT
from edgert.ops.slice import SLICE
from edgert.ops.softmax import SOFTMAX
from edgert.ops.space_to_depth import SPACE_TO_DEPTH
from edgert.ops.sub import SUB
from edgert.ops.svdf import SVDF
from edgert.ops.top_k import TOP_K
from edgert.ops.transpose import TRANSPOSE
from edgert.ops.unary import UNARY
from edgert.ops.unpack_int4 import UNPACK_INT4

ALL_OPS: tuple[OpDef, ...] = (
    CONV2D,
    DEPTHWISE_CONV2D,
    FULLY_CONNECTED,
    MATMUL,
    ADD,
    SUB,
    MUL,
    BINARY,
    UNARY,
    LUT,
    PRELU,
    QUANTIZE,
    DEQUANTIZE,
    CAST,
    MAX_POOL2D,
    AVERAGE_POOL2D,
    REDUCE,
    SOFTMAX,
    RESHAPE,
    TRANSPOSE,
    CONCAT,
    SLICE,
    PAD,
    GATHER,
    BROADCAST_TO,
    RESIZE,
    DEPTH_TO_SPACE,
    SPACE_TO_DEPTH,
    ARG_MAX,
    COMPARE,
    SELECT,
    COPY,
    ASSIGN,
    LOG_SOFTMAX,
    LSTM,
    GRU,
    RNN,
    SVDF,
    TOP_K,
    CUMSUM,
    GATHER_ND,
    GATHER_ELEMENTS,
    SCATTER_ND,
    SCATTER_ELEMENTS,
    NON_MAX_SUPPRESSION,
    DETECTION_POSTPROCESS,
    CUSTOM,
    UNPACK_INT4,
)

OPS_BY_NAME: dict[str, OpDef] = {op.name: op for op in ALL_OPS}

__all__ = ["ALL_OPS", "OPS_BY_NAME", "OpDef", "QuantRule", "TensorSpec"]
