"""sigmoid and tanh of int16 by products and shifts alone, as gemmlowp has them and TensorFlow Lite's integer lstm uses.

Source: gemmlowp, fixedpoint/fixedpoint.h (logistic, tanh, exp_on_negative_values). ext/ops/gemmlowp.c is the same in C.
Arrays are int64 that hold what int16 and int32 hold there.
"""

from __future__ import annotations

import numpy as np

from edgert.ops._def import Array

ONE = 32767  # nearly 1 with 15 fractional bits


def saturate16(x: Array) -> Array:
    return np.clip(x, -32768, 32767)


def _divide_toward_zero(x: Array, by: int) -> Array:
    return np.where(x >= 0, x // by, -((-x) // by))


def shift_right(x: Array, bits: int) -> Array:
    """x / 2^bits rounded to nearest, ties away from zero."""
    mask = (1 << bits) - 1
    threshold = (mask >> 1) + (x < 0)
    return (x >> bits) + ((x & mask) > threshold)


def _mul(a: Array, b: Array | int) -> Array:
    """The product of two numbers with 15 fractional bits, rounded (SaturatingRoundingDoublingHighMul of int16)."""
    product = a * b
    rounded = _divide_toward_zero(product + np.where(product >= 0, 1 << 14, 1 - (1 << 14)), 1 << 15)
    return np.minimum(rounded, ONE)


def _constant(raw: int) -> int:
    """A constant that is stated for 32 bits, for 16."""
    return int(shift_right(np.asarray(raw), 16))


def _wrap16(x: Array) -> Array:
    return ((x + 32768) & 0xFFFF) - 32768


# exp(-2^n) with 31 fractional bits, for n = -2 .. 4.
_POWERS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))


def _exp_near_zero(a: Array) -> Array:
    """exp of a number in [-1/4, 0): Taylor's polynomial around -1/8."""
    x = a + (1 << 12)
    x2 = _mul(x, x)
    x3, x4 = _mul(x2, x), _mul(x2, x2)
    terms = shift_right(_mul(shift_right(x4, 2) + x3, _constant(715827883)) + x2, 1)
    constant = _constant(1895147668)
    return saturate16(constant + _mul(x + terms, constant))


def _exp(a: Array, integer_bits: int) -> Array:
    """exp(a) of a <= 0 with 15 - integer_bits fractional bits, to 15."""
    fractional = 15 - integer_bits
    quarter = 1 << (fractional - 2)
    rest = (a & (quarter - 1)) - quarter
    near = np.clip(rest << integer_bits, -32768, 32767)
    result = _exp_near_zero(near)
    remainder = rest - a
    for exponent, raw in _POWERS:
        if integer_bits > exponent:
            has = (remainder & (1 << (fractional + exponent))) != 0
            result = np.where(has, _mul(result, _constant(raw)), result)
    if integer_bits > 5:
        result = np.where(a < _constant(-(1 << (36 - integer_bits))), 0, result)
    return np.where(a == 0, ONE, result)


def _inverse(a: Array) -> Array:
    """2 / (1 + a) of a in (0, 1), with 13 fractional bits: Newton's division."""
    half = (a + ONE + 1) // 2
    x = _constant(1515870810) + _mul(half, _constant(-1010580540))
    for _ in range(3):
        error = (1 << 13) - _mul(half, x)
        x = _wrap16(x + np.clip(_mul(x, error) << 2, -32768, 32767))
    return x


def sigmoid16(x: Array) -> Array:
    """1 / (1 + exp(-x)) of int16 with 12 fractional bits, to 15."""
    x = x.astype(np.int64)
    y = np.minimum(_inverse(_exp(-np.abs(x), 3)) << 1, ONE)
    return np.where(x == 0, 1 << 14, np.where(x > 0, y, ONE - y))


def tanh16(x: Array, integer_bits: int) -> Array:
    """tanh of int16 with 15 - integer_bits fractional bits, to 15."""
    x = x.astype(np.int64)
    y = np.clip((_inverse(_exp(-np.abs(x), integer_bits + 1)) - (1 << 13)) << 2, -32768, 32767)
    return np.where(x == 0, 0, np.where(x > 0, y, -y))
