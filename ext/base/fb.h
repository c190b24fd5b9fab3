/* Reading FlatBuffers. Layout: https://flatbuffers.dev/internals (vtables, little endian, offsets are relative).
 *
 * Accessors do no checks: they may be used only on a buffer that ert_fb_verify has accepted. Loads go through
 * memcpy, so that a buffer may start at any address.
 */
#ifndef ERT_BASE_FB_H
#define ERT_BASE_FB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "edgert reads little-endian files in place and has no big-endian port"
#endif

typedef struct ert_fb_table {
  const uint8_t *at; /* NULL: the table is absent, and every field reads as its default */
} ert_fb_table;

typedef struct ert_fb_vector {
  const uint8_t *data; /* first element; a string has a NUL after its last byte */
  uint32_t count;      /* 0 also when absent */
} ert_fb_vector;

static inline uint32_t ert_fb_load_u32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, sizeof v);
  return v;
}

/* Address of a field, or NULL when the vtable does not have it. */
static inline const uint8_t *ert_fb_at(ert_fb_table t, size_t vtable_offset) {
  if (t.at == NULL) return NULL;
  int32_t back;
  memcpy(&back, t.at, sizeof back);
  const uint8_t *vtable = t.at - back;
  uint16_t size, offset;
  memcpy(&size, vtable, sizeof size);
  if (vtable_offset + 2 > size) return NULL;
  memcpy(&offset, vtable + vtable_offset, sizeof offset);
  return offset ? t.at + offset : NULL;
}

#define ERT_FB_SCALAR_READER(suffix, type)                                          \
  static inline type ert_fb_##suffix(ert_fb_table t, size_t offset, type fallback) { \
    const uint8_t *p = ert_fb_at(t, offset);                                        \
    if (p != NULL) memcpy(&fallback, p, sizeof fallback);                           \
    return fallback;                                                                \
  }
ERT_FB_SCALAR_READER(u8, uint8_t)
ERT_FB_SCALAR_READER(i8, int8_t)
ERT_FB_SCALAR_READER(u16, uint16_t)
ERT_FB_SCALAR_READER(i32, int32_t)
ERT_FB_SCALAR_READER(u32, uint32_t)
ERT_FB_SCALAR_READER(i64, int64_t)
ERT_FB_SCALAR_READER(u64, uint64_t)
ERT_FB_SCALAR_READER(f32, float)
#undef ERT_FB_SCALAR_READER

static inline ert_fb_table ert_fb_sub(ert_fb_table t, size_t offset) {
  const uint8_t *p = ert_fb_at(t, offset);
  return (ert_fb_table){p ? p + ert_fb_load_u32(p) : NULL};
}

static inline ert_fb_vector ert_fb_vec(ert_fb_table t, size_t offset) {
  const uint8_t *p = ert_fb_at(t, offset);
  if (p == NULL) return (ert_fb_vector){NULL, 0};
  p += ert_fb_load_u32(p);
  return (ert_fb_vector){p + 4, ert_fb_load_u32(p)};
}

static inline ert_fb_table ert_fb_root(const uint8_t *buffer) {
  return (ert_fb_table){buffer + ert_fb_load_u32(buffer)};
}

/* Element i of a vector of tables, strings, int32, uint32 or float; i < v.count. */
static inline ert_fb_table ert_fb_table_at(ert_fb_vector v, uint32_t i) {
  const uint8_t *p = v.data + 4 * (size_t)i;
  return (ert_fb_table){p + ert_fb_load_u32(p)};
}
static inline ert_fb_vector ert_fb_string_at(ert_fb_vector v, uint32_t i) {
  const uint8_t *p = ert_fb_table_at(v, i).at;
  return (ert_fb_vector){p + 4, ert_fb_load_u32(p)};
}
static inline int32_t ert_fb_i32_at(ert_fb_vector v, uint32_t i) {
  int32_t x;
  memcpy(&x, v.data + 4 * (size_t)i, sizeof x);
  return x;
}
static inline uint32_t ert_fb_u32_at(ert_fb_vector v, uint32_t i) { return ert_fb_load_u32(v.data + 4 * (size_t)i); }
static inline float ert_fb_f32_at(ert_fb_vector v, uint32_t i) {
  float x;
  memcpy(&x, v.data + 4 * (size_t)i, sizeof x);
  return x;
}
/* A string's bytes, NUL-terminated; "" when absent. */
static inline const char *ert_fb_str(ert_fb_vector v) { return v.data ? (const char *)v.data : ""; }

/* --- verification, driven by the description in schema.h --- */

enum {
  ERT_FB_SCALAR,  /* size = bytes */
  ERT_FB_STRING,
  ERT_FB_TABLE,   /* size = index of the table type */
  ERT_FB_UNION,   /* size = number of members; the type byte stands in the slot before */
  ERT_FB_SCALARS, /* size = bytes of an element, align = alignment of the first */
  ERT_FB_STRINGS,
  ERT_FB_TABLES   /* size = index of the table type */
};

typedef struct ert_fb_field {
  uint16_t offset; /* in the vtable */
  uint8_t kind, size, align;
} ert_fb_field;

typedef struct ert_fb_type {
  uint16_t field_count;
  const ert_fb_field *fields;
} ert_fb_type;

#endif
