/* Does every offset of the buffer stay within it? Rules: https://flatbuffers.dev/internals and the description of
 * the schema that schemas/generate.py writes. No type of the schema contains itself, so the depth is bounded by the
 * schema, and a table reached by many paths costs a constant time for each element of a vector that names it: the
 * whole walk is linear in the size of the file. */
#define ERT_SCHEMA_DESCRIPTION
#include "core/internal.h"

typedef struct verifier {
  const uint8_t *data;
  size_t bytes;
} verifier;

static bool within(const verifier *v, size_t at, size_t length) { return at <= v->bytes && length <= v->bytes - at; }

static uint32_t load_u32(const verifier *v, size_t at) { return ert_fb_load_u32(v->data + at); }

static uint16_t load_u16(const verifier *v, size_t at) {
  uint16_t x;
  memcpy(&x, v->data + at, sizeof x);
  return x;
}

/* Follows the offset stored at `at` (which lies within); false when it leads out. */
static bool follow(const verifier *v, size_t at, size_t *target) {
  uint32_t offset = load_u32(v, at);
  if (offset == 0 || offset > v->bytes - at) return false; /* before it is added: size_t may have 32 bits */
  *target = at + offset;
  return within(v, *target, 4);
}

static bool vector_fits(const verifier *v, size_t at, size_t element_bytes, size_t trailing, size_t align) {
  size_t bytes;
  return ert_mul(load_u32(v, at), element_bytes, &bytes) && ert_add(bytes, trailing, &bytes) &&
         within(v, at + 4, bytes) && (at + 4) % align == 0;
}

static bool string_fits(const verifier *v, size_t at) {
  return vector_fits(v, at, 1, 1, 1) && v->data[at + 4 + load_u32(v, at)] == 0;
}

static bool verify_table(const verifier *v, size_t table, uint8_t type);

static bool verify_field(const verifier *v, const ert_fb_field *field, size_t at, uint8_t union_type) {
  size_t target;
  if (field->kind == ERT_FB_SCALAR) return true;
  if (!follow(v, at, &target)) return false;
  switch (field->kind) {
    case ERT_FB_STRING:
      return string_fits(v, target);
    case ERT_FB_TABLE:
      return verify_table(v, target, field->size);
    case ERT_FB_UNION:
      if (union_type > field->size) return true; /* a newer operator: validate names it and refuses */
      return union_type != 0 && verify_table(v, target, ert_union_op_attrs[union_type - 1]);
    case ERT_FB_SCALARS:
      return vector_fits(v, target, field->size, 0, field->align);
    default:
      break;
  }
  if (!vector_fits(v, target, 4, 0, 4)) return false;
  uint32_t count = load_u32(v, target);
  for (uint32_t i = 0; i < count; i++) {
    size_t element;
    if (!follow(v, target + 4 + 4 * (size_t)i, &element)) return false;
    if (field->kind == ERT_FB_STRINGS ? !string_fits(v, element) : !verify_table(v, element, field->size)) return false;
  }
  return true;
}

static bool verify_table(const verifier *v, size_t table, uint8_t type) {
  if (!within(v, table, 4)) return false;
  int32_t back;
  memcpy(&back, v->data + table, sizeof back);
  int64_t vtable64 = (int64_t)table - back;
  if (vtable64 < 0 || !within(v, (size_t)vtable64, 4)) return false;
  size_t vtable = (size_t)vtable64;
  uint16_t vtable_bytes = load_u16(v, vtable), table_bytes = load_u16(v, vtable + 2);
  if (vtable_bytes < 4 || vtable_bytes % 2 != 0 || !within(v, vtable, vtable_bytes) || table_bytes < 4 ||
      !within(v, table, table_bytes))
    return false;
  const ert_fb_type *description = &ert_schema_tables[type];
  for (uint16_t i = 0; i < description->field_count; i++) {
    const ert_fb_field *field = &description->fields[i];
    if (field->offset + 2 > vtable_bytes) continue;
    uint16_t offset = load_u16(v, vtable + field->offset);
    if (offset == 0) continue;
    size_t bytes = field->kind == ERT_FB_SCALAR ? field->size : 4;
    if (offset < 4 || offset + bytes > table_bytes) return false;
    uint8_t union_type = 0;
    if (field->kind == ERT_FB_UNION) { /* its type is the field before */
      uint16_t type_offset = load_u16(v, vtable + field->offset - 2);
      if (type_offset < 4 || type_offset >= table_bytes) return false;
      union_type = v->data[table + type_offset];
    }
    if (!verify_field(v, field, table + offset, union_type)) return false;
  }
  return true;
}

ert_status ert_verify(const uint8_t *data, size_t bytes, ert_error *error) {
  if (bytes < 8 || memcmp(data + 4, "ERT1", 4) != 0)
    return ert_report(error, ERT_INVALID_FILE, "not an .ert file: the identifier ERT1 is missing");
  if (bytes > INT32_MAX)
    return ert_report(error, ERT_INVALID_FILE, "the file has %zu bytes; a FlatBuffer has at most 2 GiB", bytes);
  verifier v = {data, bytes};
  size_t root;
  if (!follow(&v, 0, &root) || !verify_table(&v, root, ERT_TABLE_MODEL))
    return ert_report(error, ERT_INVALID_FILE,
                      "the file is damaged or cut short (%zu bytes): an offset leads out of it; copy it again", bytes);
  return ERT_OK;
}
