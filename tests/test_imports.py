"""Who may import whom (DESIGN.md section 2), read from the sources."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE, EXT = ROOT / "edgert", ROOT / "ext"

_IR = {"errors", "dtypes", "ir", "progress"}
_GRAPH = {*_IR, "ops", "custom"}
_USER = {"errors", "dtypes", "progress", "runtime"}
_MEASURE = {"cache", "evaluation", "metrics"}
_PUSH = {"smp", "manifest", "golden", "targets"}  # what both sides of a push stand on
# Part of edgert -> other parts that it may import. A part is a module or a package directly below edgert.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "dtypes": set(),
    "progress": set(),
    "custom": {"errors", "dtypes"},
    "functions": {"errors"},
    "metrics": {"errors", "functions"},
    "cache": {"errors"},
    "executors": {"errors"},
    "evaluation": {*_USER, "cache", "data", "functions", "metrics"},
    "ir": {"errors", "dtypes"},
    "ops": {*_IR, "custom"},
    "importers": _GRAPH,
    "passes": _GRAPH,
    "quant": {*_GRAPH, *_MEASURE, "data", "runtime"},
    "pack": _GRAPH,
    "compile": {*_GRAPH, *_MEASURE, "data", "golden", "importers", "passes", "quant", "pack", "runtime", "targets"},
    "runtime": {"errors", "dtypes", "custom"},
    "data": {*_USER, "functions"},
    "report": {*_USER, *_MEASURE, "data", "ops"},  # ops: how many multiply-adds an operator takes
    "engines": {*_USER, "compile", "data"},
    "quickstart": {*_USER, "compile", "data", "engines", "report"},
    "__main__": {"cli"},
    "cli": {
        *_USER,
        *_MEASURE,
        "compile",
        "custom",
        "data",
        "engines",
        "executors",
        "pack",
        "quant",
        "quickstart",
        "report",
        "targets",
        *_PUSH,
        "agent",
        "device",
        "store",
    },
    "smp": {"errors"},
    "manifest": {"errors", "smp"},
    "golden": {"errors", "dtypes", "runtime"},
    "targets": {"errors", "runtime"},
    "store": {"errors", "manifest", "smp"},
    "agent": {"errors", "runtime", *_PUSH, "store"},
    "device": {"errors", "progress", "runtime", *_PUSH, "store"},
}
# Imports against the order, each with its reason; they stand inside a function or under TYPE_CHECKING.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("ir", "ops"): "Graph.verify looks operators up by name",
    ("runtime", "store"): 'load("device:NAME") opens what a push put there',
    ("__init__", "compile"): "names of the public interface, looked up when they are used",
    ("__init__", "custom"): "the same",
    ("__init__", "dtypes"): "the same",
    ("__init__", "errors"): "the same",
    ("__init__", "quant"): "the same",
    ("__init__", "runtime"): "the same",
}
# Packages that are not ours -> parts that may import them; NumPy may be imported by all but the first two parts.
FOREIGN: dict[str, set[str]] = {
    "numpy": set(ALLOWED) - {"__init__", "errors", "dtypes"},
    "click": {"cli"},
    "rich": {"cli", "report", "quickstart"},
    "flatbuffers": {"pack", "importers"},
    "onnx": {"importers"},
    "tflite": {"importers"},
    "google": {"importers"},  # protobuf
    "h5py": {"importers"},
    "torch": {"importers", "compile"},
    "tensorflow": {"importers"},
    "PIL": {"data", "evaluation"},
    "fast_sugiyama": {"report"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "tensorboardX": {"report"},
    "visdom": {"report"},
    "onnxruntime": {"engines"},
    "openvino": {"engines"},
    "ai_edge_litert": {"engines"},
    "tflite_runtime": {"engines"},
    "distributed": {"executors"},
    "platformdirs": {"cache"},
    "cryptography": {"manifest"},
    "serial": {"device"},
    "compression": {"agent", "device", "smp"},  # zstd of Python 3.14
    "zstandard": {"agent", "device", "smp"},
}


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def python_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "ert_generated.py")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt, str]]:
    """(statement, dotted module) of every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            assert node.module is not None
            if node.module == "edgert":
                yield from ((node, f"edgert.{alias.name}") for alias in node.names)
            else:
                yield node, node.module


def late(tree: ast.Module, statement: ast.stmt) -> bool:
    """Whether a statement runs only when something is called, or for type checkers alone."""
    return statement not in tree.body


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_python_imports(path: Path) -> None:
    tree, part = ast.parse(path.read_text()), part_of(path)
    wrong = []
    for statement, module in imports(tree):
        head, _, rest = module.partition(".")
        if head == "edgert":
            other = rest.partition(".")[0] or "__init__"
            excused = (part, other) in EXCEPTIONS and late(tree, statement)
            if other not in ALLOWED:
                other = "__init__"  # a name that edgert itself has, as `from edgert import __version__`
            if other not in {*ALLOWED[part], part, "__init__"} and not excused:
                wrong.append(f"line {statement.lineno}: edgert.{part} imports {module}")
        elif head in FOREIGN and part not in FOREIGN[head]:
            wrong.append(f"line {statement.lineno}: edgert.{part} imports {module}")
        elif head not in FOREIGN and head not in sys.stdlib_module_names:
            wrong.append(f"line {statement.lineno}: {module} is not in the list of packages that edgert may use")
    assert wrong == []


def test_every_folder_is_a_package() -> None:
    """A folder without __init__.py imports from a source tree, and is missing from what is installed."""
    folders = {path.parent for path in python_files()}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


def test_every_part_has_a_rule() -> None:
    assert {part_of(path) for path in python_files()} <= set(ALLOWED)


def test_importing_edgert_loads_neither_numpy_nor_click() -> None:
    code = "import sys, edgert; print(sorted({'numpy', 'click', 'rich', 'onnx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- C ---

LAYERS = ["base", "requant", "kernels", "ops", "core", "bench"]  # each may include itself and those before it
PUBLIC = "edgert.h"


def c_files() -> list[Path]:
    return sorted(path for layer in LAYERS for kind in ("*.c", "*.h", "*.inc") for path in (EXT / layer).rglob(kind))


@pytest.mark.parametrize("path", c_files(), ids=lambda path: str(path.relative_to(EXT)))
def test_c_includes(path: Path) -> None:
    """base <- requant <- kernels <- ops <- core <- bench; a kernel knows no tensors, no schema and no public header."""
    layer = path.relative_to(EXT).parts[0]
    allowed = LAYERS[: LAYERS.index(layer) + 1]
    wrong = []
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.MULTILINE):
        if name == PUBLIC:
            fits = layer not in ("requant", "kernels")
        else:
            assert (EXT / name).is_file(), f"{name} is not given from ext/ down"
            fits = name.split("/")[0] in allowed
        if layer == "kernels" and name in ("base/schema.h", "base/fb.h", "base/pool.h"):
            fits = False
        if not fits:
            wrong.append(name)
    assert wrong == []
