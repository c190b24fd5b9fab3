"""The places that list operators agree: schemas/ert.fbs, edgert.ops, ext/ops/ops.inc, and a file each."""

from __future__ import annotations

import enum
import importlib.util
import re
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgert.ops import ALL_OPS, OpDef, _enums
from edgert.ops._kernels import FAMILIES, KERNELS

ROOT = Path(__file__).resolve().parents[2]


def _load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ert_schema_generator", ROOT / "schemas" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


SCHEMA = _load_generator().parse((ROOT / "schemas" / "ert.fbs").read_text())
CODES: dict[str, int] = SCHEMA.enums["OpCode"][1]
NAMED_OPS = {name: code for name, code in CODES.items() if name != "NONE"}
ENUMS = {
    name: member
    for name, member in vars(_enums).items()
    if isinstance(member, type) and issubclass(member, enum.IntEnum) and member is not enum.IntEnum
}
FAMILY_TESTS = {"add": "arithmetic", "sub": "arithmetic", "mul": "arithmetic"}  # tested together
# How many outputs an operator has; all others have 1. 255: any number.
OUTPUTS = {
    "assign": 0, "lstm": 3, "gru": 2, "rnn": 2, "svdf": 2, "top_k": 2, "non_max_suppression": 3,
    "detection_postprocess": 4, "custom": 255,
}  # fmt: skip
NAMES = [op.name for op in ALL_OPS]


def attrs_fields(op: OpDef) -> list[Any]:
    """Fields of the operator's table: member k of the union belongs to code k."""
    return list(SCHEMA.tables[SCHEMA.unions["OpAttrs"][op.code - 1]])


def test_python_has_the_operators_of_the_schema() -> None:
    assert {op.name.upper(): int(op.code) for op in ALL_OPS} == NAMED_OPS
    assert [int(op.code) for op in ALL_OPS] == sorted(NAMED_OPS.values()), "ALL_OPS stands in the order of the codes"


def test_c_has_the_operators_of_the_schema() -> None:
    lines = re.findall(r"^ERT_OP\((\w+), (\w+)\)$", (ROOT / "ext" / "ops" / "ops.inc").read_text(), re.MULTILINE)
    assert sorted(code for code, _ in lines) == sorted(NAMED_OPS)
    assert [name for _, name in lines] == [code.lower() for code, _ in lines]


@pytest.mark.parametrize("name", sorted(code.lower() for code in NAMED_OPS))
def test_every_operator_has_its_files(name: str) -> None:
    wanted = [f"edgert/ops/{name}.py", f"ext/ops/{name}.c", f"tests/ops/test_{FAMILY_TESTS.get(name, name)}.py"]
    assert [path for path in wanted if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("name", sorted(code.lower() for code in NAMED_OPS))
def test_c_definition_has_its_name_and_inputs(name: str) -> None:
    """`const ert_op_def ert_op_x = {"x", least, most, outputs, ...}` says what OpDef says; 255: any number."""
    source = (ROOT / "ext" / "ops" / f"{name}.c").read_text()
    found = re.search(r'const ert_op_def ert_op_(\w+) = \{\s*"(\w+)", (\w+), (\w+), (\w+),', source)
    assert found is not None, f"ext/ops/{name}.c defines no ert_op_{name}"
    (op,) = (op for op in ALL_OPS if op.name == name)
    assert found[1] == found[2] == name
    assert int(found[3]) == op.inputs[0]
    assert int(found[4]) == min(op.inputs[1], 255)
    assert (255 if found[5] == "ERT_ANY_NUMBER" else int(found[5])) == OUTPUTS.get(name, 1)


@pytest.mark.parametrize("op", ALL_OPS, ids=NAMES)
def test_attributes_are_the_fields_of_the_table(op: OpDef) -> None:
    assert sorted(op.attrs) == sorted(field.name for field in attrs_fields(op))


def schema_default(field: Any) -> object:
    if field.type.startswith("["):
        return ()
    if field.type == "string":
        return ""
    if field.type in SCHEMA.enums:
        return SCHEMA.enums[field.type][1].get(field.default, 0)
    if field.type == "bool":
        return field.default == "true"
    return float(field.default or 0) if field.type == "float" else int(field.default or 0)


@pytest.mark.parametrize("op", ALL_OPS, ids=NAMES)
def test_defaults_are_those_of_the_table(op: OpDef) -> None:
    """A default of ... means that the attribute must be given, and says nothing about the table's."""
    for field in attrs_fields(op):
        default = op.attrs[field.name]
        if default is ...:
            continue
        wanted = schema_default(field)
        assert default == wanted, f"{op.name}.{field.name}"
        assert isinstance(default, bool) == isinstance(wanted, bool), f"{op.name}.{field.name}"
        if isinstance(wanted, float):
            assert struct.unpack("f", struct.pack("f", default))[0] == default


@pytest.mark.parametrize("op", ALL_OPS, ids=NAMES)
def test_enum_attributes_have_their_own_type(op: OpDef) -> None:
    for field in attrs_fields(op):
        default = op.attrs[field.name]
        if field.type in SCHEMA.enums and default is not ...:
            assert isinstance(default, ENUMS[field.type]), f"{op.name}.{field.name}"


@pytest.mark.parametrize("name", sorted(set(SCHEMA.enums) - {"DType", "TensorKind"}))
def test_enumerations_are_those_of_the_schema(name: str) -> None:
    assert {member.name: member.value for member in ENUMS[name]} == SCHEMA.enums[name][1]


def test_element_types_are_those_of_the_schema() -> None:
    from edgert.dtypes import DType

    assert {member.name: member.value for member in DType} == SCHEMA.enums["DType"][1]
    header = (ROOT / "ext" / "include" / "edgert.h").read_text()
    for name, value in SCHEMA.enums["DType"][1].items():
        assert re.search(rf"\bERT_{name} = {value}\b", header), f"edgert.h has no ERT_{name} = {value}"


def test_no_enumeration_is_missing_from_the_schema() -> None:
    assert set(ENUMS) <= set(SCHEMA.enums)


# --- kernels ---


def _instruction_sets(family: str) -> set[str]:
    """Instruction sets named by the file names of a family: avx512vnni_8.c is of avx512vnni."""
    known = {isa for _what, sets in FAMILIES.values() for isa in sets}
    stems = (path.stem.partition("_")[0] for path in (ROOT / "ext" / "kernels" / family).glob("*.c"))
    return {stem for stem in stems if stem in known}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_families_have_the_instruction_sets_of_their_files(family: str) -> None:
    assert set(FAMILIES[family][1]) == _instruction_sets(family)


def test_every_family_is_listed() -> None:
    folders = {path.parent.name for path in (ROOT / "ext" / "kernels").glob("*/select.c")}
    assert folders == set(FAMILIES)


def _families_of(source: Path, seen: set[Path]) -> set[str]:
    """Kernel families whose headers a C file includes, by way of other files of ext/ops too."""
    found: set[str] = set()
    if source in seen or not source.is_file():
        return found
    seen.add(source)
    for include in re.findall(r'#\s*include "([^"]+)"', source.read_text()):
        if include.startswith("kernels/"):
            found.add(include.split("/")[1])
        elif include.startswith("ops/"):
            header = ROOT / "ext" / include
            found |= _families_of(header, seen) | _families_of(header.with_suffix(".c"), seen)
    return found


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_operators_reach_their_kernels(name: str) -> None:
    assert set(KERNELS[name]) <= _families_of(ROOT / "ext" / "ops" / f"{name}.c", set())


@pytest.mark.parametrize("name", NAMES)
def test_kernels_that_an_operator_includes_are_listed(name: str) -> None:
    source = (ROOT / "ext" / "ops" / f"{name}.c").read_text()
    assert set(re.findall(r'#\s*include "kernels/(\w+)/', source)) <= set(KERNELS.get(name, ()))
