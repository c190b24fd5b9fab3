"""Which families of kernels (ext/kernels) an operator runs on, for the list that `edgert ops` prints; a test holds both
tables against the C sources. Operators that are absent are plain loops of their own, the same on every processor."""

from __future__ import annotations

# Family -> (what it computes, its instruction sets in rising order).
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "qgemm": (
        "int8 products of matrices",
        ("scalar", "sse41", "avx2", "avxvnni", "avx512vnni", "amx", "neon", "neondot", "neoni8mm"),
    ),
    "qgroup": ("int8 convolution in groups of few channels", ("avx512vnni",)),
    "qdw": (
        "int8 depthwise convolution",
        ("scalar", "sse41", "avx2", "avxvnni", "avx512vnni", "neon", "neondot"),
    ),
    "qadd": ("int8 addition", ("scalar", "sse41", "avx2", "avx512vnni", "neon")),
    "fgemm": ("float32 products of matrices", ("scalar", "sse41", "avx2", "avx512vnni", "neon")),
    "fdw": ("float32 depthwise convolution", ("scalar", "sse41", "avx2", "avx512vnni", "neon")),
    "fvec": ("vectors: functions, sums, tables, conversion", ("scalar", "sse41", "avx2", "avx512vnni", "neon")),
}

KERNELS: dict[str, tuple[str, ...]] = {
    "conv2d": ("qgemm", "qgroup", "fgemm", "fvec"),
    "depthwise_conv2d": ("qdw", "fdw", "fvec"),
    "fully_connected": ("qgemm", "fgemm", "fvec"),
    "matmul": ("qgemm", "fgemm", "fvec"),
    "add": ("qadd", "fvec"),
    "sub": ("qadd", "fvec"),
    "mul": ("fvec",),
    "binary": ("fvec",),
    "unary": ("fvec",),
    "lut": ("fvec",),
    "quantize": ("fvec",),
    "dequantize": ("fvec",),
    "reduce": ("fvec",),
    "softmax": ("fvec",),
    "lstm": ("qgemm", "fgemm", "fvec"),
    "gru": ("fgemm", "fvec"),
    "rnn": ("fgemm", "fvec"),
    "svdf": ("fgemm", "fvec"),
}
