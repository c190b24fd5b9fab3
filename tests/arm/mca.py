"""Cycles of the inner loops of the ARM kernels, by LLVM's models of the cores.

usage: python tests/arm/mca.py BUILD [KERNEL ...]     BUILD: a CMake build for aarch64; KERNEL: qgemm/neondot.c ...

Takes the runs without a branch from the object files that CMake left in BUILD, which are the bodies of inner loops or
most of them, and lets llvm-mca run each 200 times with everything in the first cache. A line says what a turn has and
takes: instructions, multiplications, cycles simulated, the cycles of the busiest pipe alone, and that pipe. Cycles well
above those of the pipe are a stall. neoverse-n1 is the core of Cortex-A76, cortex-a55 the in-order one with a model.
Needs llvm-mca (the model of neoverse-n1 stands in LLVM 16 and later; LLVM_MCA names another program) and
aarch64-linux-gnu-objdump; says so and ends with status 0 where one is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

KERNELS = (
    "qgemm/neon.c", "qgemm/neondot.c", "qgemm/neoni8mm.c", "qdw/neon.c", "qdw/neon_pairs.c", "qdw/neondot.c",
    "qdw/neondot_strip.c", "qadd/neon.c", "fgemm/neon.c", "fdw/neon.c",
)  # fmt: skip
CORES = {
    "neon": ("cortex-a55", "cortex-a72", "neoverse-n1"),
    "neondot": ("cortex-a55", "neoverse-n1"),
    "neoni8mm": ("neoverse-n2",),
}
MULTIPLICATION = re.compile(r"(smull|smlal|sdot|smmla|fmla|fmul|mla|mul)2?$")
LEAST_MULTIPLICATIONS = 16
TURNS = 200


def find_tools() -> tuple[str, str] | None:
    """llvm-mca and objdump, or None after saying what is missing."""
    names = [os.environ.get("LLVM_MCA", ""), *(f"llvm-mca-{version}" for version in range(22, 15, -1)), "llvm-mca"]
    mca = next((found for name in names if (found := shutil.which(name))), None)
    objdump = shutil.which("aarch64-linux-gnu-objdump")
    if mca is None or objdump is None:
        print(f"skipped: {'llvm-mca (Debian: llvm)' if mca is None else 'aarch64-linux-gnu-objdump'} is not installed")
        return None
    return mca, objdump


def blocks(listing: str) -> Iterator[tuple[str, list[str]]]:
    """Function and instructions of every run without a branch or a branch's target."""
    for part in re.split(r"^(?=[0-9a-f]+ <.+>:$)", listing, flags=re.MULTILINE):
        name = re.match(r"[0-9a-f]+ <(.+)>:$", part, re.MULTILINE)
        if name is None:
            continue
        code: list[str] = []
        targets = {int(address, 16) for address in re.findall(r"\tc?t?b\S*\t.*?\b([0-9a-f]+) <", part)}
        for line in part.splitlines():
            match = re.match(r"\s+([0-9a-f]+):\t(\S+)\t?([^/]*)", line)
            if match is None:
                continue
            branch = re.fullmatch(r"b(\..+)?|cbn?z|tbn?z|bl|blr|br|ret", match[2])
            if branch or int(match[1], 16) in targets:
                yield name[1], code
                code = []
            if not branch:
                code.append(f"{match[2]} {match[3].strip()}")
        yield name[1], code


def simulate(mca: str, core: str, code: Sequence[str]) -> tuple[float, float, str]:
    """Cycles of a turn, cycles of the busiest pipe, and its name."""
    command = [mca, "-march=aarch64", f"-mcpu={core}", f"-iterations={TURNS}", "-instruction-info=0"]
    done = subprocess.run(command, input="\n".join(code), capture_output=True, text=True, check=True)
    cycles = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    names = re.findall(r"^\[(\S+)\]\s+- (\S+)", done.stdout, re.MULTILINE)
    pressure = re.search(r"Resource pressure per iteration:\n.*\n(.*)", done.stdout)
    assert cycles is not None
    assert pressure is not None
    used = [0.0 if value == "-" else float(value) for value in pressure[1].split()]
    busiest = max(range(len(used)), key=used.__getitem__)
    return int(cycles[1]) / TURNS, used[busiest], names[busiest][1]


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    tools = find_tools()
    if tools is None:
        return 0
    mca, objdump = tools
    print(f"{'kernel':22} {'function':18} {'core':12} {'insns':>5} {'mults':>5} {'cycles':>7} {'pipe':>7}  busiest")
    for kernel in sys.argv[2:] or KERNELS:
        found = list(Path(sys.argv[1]).rglob(f"kernels/{kernel}.o"))
        if not found:
            print(f"{kernel}: no object file of it under {sys.argv[1]}")
            return 1
        command = [objdump, "-d", "--no-show-raw-insn", str(found[0])]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for function, code in blocks(listing):
            count = sum(MULTIPLICATION.match(line.split()[0]) is not None for line in code)
            if count < LEAST_MULTIPLICATIONS:
                continue
            for core in CORES[re.split(r"[_.]", Path(kernel).name)[0]]:
                cycles, pipe, name = simulate(mca, core, code)
                place = f"{kernel:22} {function[:18]:18} {core:12}"
                print(f"{place} {len(code):5} {count:5} {cycles:7.1f} {pipe:7.1f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
