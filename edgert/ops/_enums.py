"""Enumerations of operator attributes, with the values of schemas/ert.fbs (a test compares them)."""

from __future__ import annotations

import enum


class OpCode(enum.IntEnum):
    NONE = 0
    CONV2D = 1
    DEPTHWISE_CONV2D = 2
    FULLY_CONNECTED = 3
    MATMUL = 4
    ADD = 5
    SUB = 6
    MUL = 7
    BINARY = 8
    UNARY = 9
    LUT = 10
    PRELU = 11
    QUANTIZE = 12
    DEQUANTIZE = 13
    CAST = 14
    MAX_POOL2D = 15
    AVERAGE_POOL2D = 16
    REDUCE = 17
    SOFTMAX = 18
    RESHAPE = 19
    TRANSPOSE = 20
    CONCAT = 21
    SLICE = 22
    PAD = 23
    GATHER = 24
    BROADCAST_TO = 25
    RESIZE = 26
    DEPTH_TO_SPACE = 27
    SPACE_TO_DEPTH = 28
    ARG_MAX = 29
    COMPARE = 30
    SELECT = 31
    COPY = 32
    ASSIGN = 33
    LOG_SOFTMAX = 34
    LSTM = 35
    GRU = 36
    RNN = 37
    SVDF = 38
    TOP_K = 39
    CUMSUM = 40
    GATHER_ND = 41
    GATHER_ELEMENTS = 42
    SCATTER_ND = 43
    SCATTER_ELEMENTS = 44
    NON_MAX_SUPPRESSION = 45
    DETECTION_POSTPROCESS = 46
    CUSTOM = 47
    UNPACK_INT4 = 48


class Activation(enum.IntEnum):
    NONE = 0
    RELU = 1
    RELU6 = 2
    RELU_N1_TO_1 = 3


class BinaryFunction(enum.IntEnum):
    DIV = 0
    MINIMUM = 1
    MAXIMUM = 2
    POW = 3
    SQUARED_DIFFERENCE = 4
    FLOOR_DIV = 5
    FLOOR_MOD = 6
    LOGICAL_AND = 7
    LOGICAL_OR = 8
    BITWISE_AND = 9
    BITWISE_OR = 10
    BITWISE_XOR = 11
    SHIFT_LEFT = 12
    SHIFT_RIGHT = 13
    TRUNC_MOD = 14
    ATAN2 = 15


class UnaryFunction(enum.IntEnum):
    RELU = 0
    RELU6 = 1
    RELU_N1_TO_1 = 2
    LEAKY_RELU = 3
    ELU = 4
    SIGMOID = 5
    TANH = 6
    HARD_SWISH = 7
    HARD_SIGMOID = 8
    EXP = 9
    LOG = 10
    SQRT = 11
    RSQRT = 12
    ABS = 13
    NEG = 14
    FLOOR = 15
    CEIL = 16
    ROUND = 17
    SQUARE = 18
    SIN = 19
    COS = 20
    ERF = 21
    GELU = 22
    SOFTPLUS = 23
    CLIP = 24
    RECIPROCAL = 25
    SIGN = 26
    SOFTSIGN = 27
    MISH = 28
    GELU_TANH = 29
    LOGICAL_NOT = 30
    SILU = 31
    SELU = 32
    CELU = 33
    ATAN = 34
    ASIN = 35
    ACOS = 36
    ASINH = 37
    ACOSH = 38
    ATANH = 39
    SINH = 40
    COSH = 41
    TAN = 42


class ReduceFunction(enum.IntEnum):
    MEAN = 0
    SUM = 1
    MAX = 2
    MIN = 3
    PROD = 4


class CompareFunction(enum.IntEnum):
    EQUAL = 0
    NOT_EQUAL = 1
    LESS = 2
    LESS_EQUAL = 3
    GREATER = 4
    GREATER_EQUAL = 5


class PadMode(enum.IntEnum):
    CONSTANT = 0
    REFLECT = 1
    SYMMETRIC = 2
    EDGE = 3


class ResizeMode(enum.IntEnum):
    NEAREST = 0
    BILINEAR = 1


class CoordinateMode(enum.IntEnum):
    ASYMMETRIC = 0
    HALF_PIXEL = 1
    ALIGN_CORNERS = 2
    PYTORCH_HALF_PIXEL = 3


class NearestMode(enum.IntEnum):
    FLOOR = 0
    ROUND_PREFER_FLOOR = 1
    ROUND_PREFER_CEIL = 2
    CEIL = 3


class ScatterReduction(enum.IntEnum):
    NONE = 0
    ADD = 1
    MUL = 2
    MIN = 3
    MAX = 4
