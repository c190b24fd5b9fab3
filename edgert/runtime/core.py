"""What one core of this machine can do: its clock, and multiply-adds a second for every instruction set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgert.dtypes import DType
from edgert.runtime import _native


@dataclass(frozen=True)
class Peak:
    """Multiply-adds a second of one instruction set on registers alone: dtype is INT8 (sums in int32) or FLOAT32."""

    isa: str
    dtype: DType
    instructions: str
    macs_per_second: float


@dataclass(frozen=True)
class Core:
    """clock_hz: of scalar code, under the load of the moment. peaks: instruction sets in rising order."""

    clock_hz: float
    peaks: tuple[Peak, ...]

    def peak(self, isa: str, dtype: DType) -> Peak | None:
        """What an instruction set can reach: its own peak, or, where it adds nothing for this type (AVX-VNNI for
        floats), that of the highest one below it. None for types that have no multiply-adds of their own."""
        below = _native.cpu_isas()
        allowed = below[: below.index(isa) + 1] if isa in below else ()
        found = [peak for peak in self.peaks if peak.dtype == dtype and peak.isa in allowed]
        return found[-1] if found else None

    def describe(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "clock_ghz": self.clock_hz / 1e9,
            "peaks": [
                {"isa": peak.isa, "dtype": peak.dtype.numpy_name, "instructions": peak.instructions,
                 "gmacs_per_second": peak.macs_per_second / 1e9, "macs_per_cycle": peak.macs_per_second / self.clock_hz}
                for peak in self.peaks
            ],
        }  # fmt: skip


def measure_core(isa: str | None = None) -> Core:
    """Measures, in some tens of milliseconds, the core that the caller runs on, with the instruction sets up to `isa`
    (None: the environment's ERT_ISA_MAX). Raises InputError for a name that is no instruction set."""
    first, hz = _native.peaks(isa), _native.clock_hz()
    second = _native.peaks(isa)  # once more a moment later: what disturbs one measurement seldom disturbs both
    peaks = tuple(
        Peak(name, DType(dtype), what, max(rate, again))
        for (name, dtype, what, rate), (*_, again) in zip(first, second, strict=True)
    )
    return Core(max(hz, _native.clock_hz()), peaks)
