"""Builds edgert.runtime._native: the C core under ext/ and the Cython interpreter over it.

pyproject.toml holds the metadata. What stands here is what setuptools cannot say: every kernel file is compiled with
the flags of its instruction set (ext/isa_flags.txt), the rest with none but the architecture's baseline.
"""

from __future__ import annotations

import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
EXT = ROOT / "ext"
LIMITED_API = "0x030B0000"  # CPython 3.11
ARCHITECTURES = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64", "armv7l": "armv7"}
COMMON_FLAGS = [
    "-std=c11", "-D_GNU_SOURCE", "-O3", "-g0", "-fvisibility=hidden", "-ffp-contract=off", "-fno-math-errno",
    "-ffunction-sections", "-fdata-sections", "-Wall", "-Wextra",
    "-fno-asynchronous-unwind-tables",  # 60 KB, and nothing here throws
]  # fmt: skip
# Loops that are left to the compiler: it makes vectors of them all the same, and half the code. What -O3 does beyond
# that costs 70 KB and gains nothing outside the kernels.
SMALLER_FLAGS = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-Wno-ignored-optimization-argument"]


def architecture() -> str:
    """The target's architecture, as isa_flags.txt names it; EDGERT_ARCH overrides it when cross-compiling."""
    machine = os.environ.get("EDGERT_ARCH") or platform.machine()
    return ARCHITECTURES.get(machine, machine)


def isa_flags() -> dict[str, list[str] | None]:
    """Flags of every instruction set; None for those of other architectures."""
    flags: dict[str, list[str] | None] = {}
    for line in (EXT / "isa_flags.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            name, arch, *rest = words
            if arch in ("any", architecture()):
                flags[name] = rest
            else:
                flags.setdefault(name, None)
    return flags


def core_sources() -> list[tuple[str, list[str]]]:
    """Every C file of the core with the flags it needs beyond COMMON_FLAGS."""
    flags = isa_flags()
    sources = []
    for path in sorted(EXT.rglob("*.c")):
        is_kernel = path.parent.parent.name == "kernels"
        own = flags.get(path.stem.partition("_")[0], []) if is_kernel else []
        if own is not None:
            smaller = [] if is_kernel and path.parent.name != "fvec" else SMALLER_FLAGS
            sources.append((str(path.relative_to(ROOT)), [*smaller, *own]))
    return sources


class BuildExt(build_ext):
    """Compiles the core file by file, in parallel, and skips objects that are newer than all sources and headers."""

    def build_extension(self, ext: Extension) -> None:
        headers = [*EXT.rglob("*.h"), *EXT.rglob("*.inc"), ROOT / "setup.py", EXT / "isa_flags.txt"]
        newest = max(path.stat().st_mtime for path in headers)
        extra = os.environ.get("EDGERT_CFLAGS", "").split()

        def compile_one(item: tuple[str, list[str]]) -> str:
            source, flags = item
            target = Path(self.build_temp) / Path(source).with_suffix(".o")
            if target.exists() and target.stat().st_mtime > max(newest, (ROOT / source).stat().st_mtime):
                return str(target)
            (made,) = self.compiler.compile(
                [source], output_dir=self.build_temp, include_dirs=[str(EXT), str(EXT / "include")],
                extra_postargs=[*COMMON_FLAGS, *flags, *extra],
            )  # fmt: skip
            return made

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ext.extra_objects = list(pool.map(compile_one, core_sources()))
        ext.depends = ext.extra_objects  # setuptools links again only when one of these is newer
        super().build_extension(ext)


class Abi3Wheel(bdist_wheel):
    """One wheel for CPython 3.11 and later."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp311"
        super().finalize_options()


# EDGERT_RUNTIME_ONLY=1: what a device needs to run packages, without what makes them.
RUNTIME_ONLY = os.environ.get("EDGERT_RUNTIME_ONLY", "") not in ("", "0")
TOOLCHAIN = ["edgert.importers", "edgert.passes", "edgert.quant", "edgert.report.quantisation"]
SAMPLES = ["edgert.samples", "edgert.samples.digits"]
TOOLCHAIN_MODULES = ["compile", "quickstart"]


class BuildPy(build_py):
    """Leaves the toolchain's modules out of the runtime's wheel."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        found = super().find_package_modules(package, package_dir)
        left_out = TOOLCHAIN_MODULES if RUNTIME_ONLY and package == "edgert" else []
        return [item for item in found if item[1] not in left_out]


setup(
    packages=[
        *find_packages(
            include=["edgert", "edgert.*"],
            exclude=[pattern for name in TOOLCHAIN for pattern in (name, f"{name}.*")] if RUNTIME_ONLY else [],
        ),
        *([] if RUNTIME_ONLY else SAMPLES),
        "edgert.target_files",
    ],
    package_dir={
        "edgert.samples": "samples",
        "edgert.samples.digits": "samples/digits",
        "edgert.target_files": "targets",
    },
    ext_modules=[
        Extension(
            "edgert.runtime._native",
            sources=["edgert/runtime/_native.pyx"],
            include_dirs=["ext", "ext/include"],
            define_macros=[("Py_LIMITED_API", LIMITED_API)],
            # glue: a quarter smaller for size, and no slower
            extra_compile_args=["-Os", "-g0", "-fvisibility=hidden", "-fno-asynchronous-unwind-tables"],
            extra_link_args=["-Wl,--gc-sections", "-Wl,-s", "-pthread"],
            libraries=["m"],
            py_limited_api=True,
        )
    ],
    exclude_package_data={"edgert.runtime": ["*.pyx", "*.pxd", "*.c"]},  # sources of the extension
    cmdclass={"build_ext": BuildExt, "build_py": BuildPy, "bdist_wheel": Abi3Wheel},
)
