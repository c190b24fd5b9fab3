/* Damages a package in every way and loads and runs what is left, under the sanitizers.
 *
 * usage: mutate PACKAGE SEED COUNT
 *
 * 1. every truncation is opened;
 * 2. COUNT / 2 mutations of bytes: one to eight of them changed, copied or swapped;
 * 3. COUNT / 2 mutations of fields: the package is walked through its schema, and one to three of its scalars, vector
 *    lengths, elements, offsets and vtable entries get another value.
 * Every other mutation states the checksums of the packed weights anew, so that damaged ones reach the kernels.
 * Prints how many were refused and how many ran. A crash, a leak or undefined behaviour ends it through the sanitizer. */
#define ERT_SCHEMA_DESCRIPTION
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "harness.h"
#include "base/schema.h"
#include "core/pack.h"

typedef struct place {
  uint32_t at;
  uint8_t bytes;
} place;

typedef struct places {
  place *items;
  size_t count, room;
} places;

static uint64_t random_state;

static uint32_t random_u32(void) { /* xorshift64*, Vigna 2016, "An experimental exploration of Marsaglia's xorshift" */
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 32);
}

static uint32_t below(uint32_t n) { return random_u32() % n; }

static void add(places *p, size_t at, size_t bytes) {
  if (p->count == p->room) {
    p->room = p->room ? 2 * p->room : 1024;
    p->items = realloc(p->items, p->room * sizeof *p->items);
    if (p->items == NULL) abort();
  }
  p->items[p->count++] = (place){(uint32_t)at, (uint8_t)bytes};
}

static uint32_t load_u32(const uint8_t *data, size_t at) { return ert_fb_load_u32(data + at); }

/* Elements of a long vector are sampled: the first few say as much as a megabyte of weights. */
enum { SAMPLED_ELEMENTS = 24 };

static void collect(const uint8_t *data, size_t table, uint8_t type, places *p);

static void collect_field(const uint8_t *data, const ert_fb_field *field, size_t at, uint8_t union_type, places *p) {
  if (field->kind == ERT_FB_SCALAR) {
    add(p, at, field->size);
    return;
  }
  add(p, at, 4);
  size_t target = at + load_u32(data, at);
  if (field->kind == ERT_FB_TABLE) {
    collect(data, target, field->size, p);
  } else if (field->kind == ERT_FB_UNION) {
    collect(data, target, ert_union_op_attrs[union_type - 1], p);
  } else { /* a vector or string */
    uint32_t count = load_u32(data, target);
    add(p, target, 4);
    bool offsets = field->kind == ERT_FB_TABLES || field->kind == ERT_FB_STRINGS;
    size_t size = offsets ? 4 : field->kind == ERT_FB_STRING ? 1 : field->size;
    for (uint32_t i = 0; i < count; i++) {
      size_t element = target + 4 + size * i;
      if (i < SAMPLED_ELEMENTS || offsets) add(p, element, size);
      if (field->kind == ERT_FB_TABLES) collect(data, element + load_u32(data, element), field->size, p);
      if (i >= SAMPLED_ELEMENTS && !offsets) break;
    }
  }
}

static void collect(const uint8_t *data, size_t table, uint8_t type, places *p) {
  int32_t back;
  memcpy(&back, data + table, sizeof back);
  size_t vtable = (size_t)((int64_t)table - back);
  uint16_t vtable_bytes;
  memcpy(&vtable_bytes, data + vtable, sizeof vtable_bytes);
  add(p, table, 4);
  for (size_t at = vtable; at < vtable + vtable_bytes; at += 2) add(p, at, 2);
  const ert_fb_type *description = &ert_schema_tables[type];
  for (uint16_t i = 0; i < description->field_count; i++) {
    const ert_fb_field *field = &description->fields[i];
    const uint8_t *at = ert_fb_at((ert_fb_table){data + table}, field->offset);
    if (at == NULL) continue;
    uint8_t union_type = 0;
    if (field->kind == ERT_FB_UNION) {
      const uint8_t *type_at = ert_fb_at((ert_fb_table){data + table}, field->offset - 2u);
      union_type = *type_at;
      add(p, (size_t)(type_at - data), 1);
    }
    collect_field(data, field, (size_t)(at - data), union_type, p);
  }
}

static void mutate_field(uint8_t *data, const places *p) {
  static const uint64_t telling[] = {0, 1, 2, 3, 4, 7, 8, 63, 64, 127, 128, 255, 256, 32767, 65535, 65536,
                                     UINT64_C(0x7fffffff), UINT64_C(0x80000000), UINT64_C(0xffffffff),
                                     UINT64_C(0x7fffffffffffffff), UINT64_MAX, UINT64_C(0x7fc00000), UINT64_C(0x7f800000)};
  place where = p->items[below((uint32_t)p->count)];
  uint64_t value = 0;
  memcpy(&value, data + where.at, where.bytes);
  switch (below(4)) {
    case 0: value = telling[below(sizeof telling / sizeof *telling)]; break;
    case 1: value += below(9) - UINT64_C(4); break;
    case 2: value ^= UINT64_C(1) << below(8u * where.bytes); break;
    default: value = ((uint64_t)random_u32() << 32) | random_u32(); break;
  }
  memcpy(data + where.at, &value, where.bytes);
}

/* Where the packed weights and their checksums stand in the package as it was. */
typedef struct blob {
  uint32_t at, bytes, checksum_at;
} blob;
enum { MOST_BLOBS = 256, PACKED_CHECKSUM = 4 /* place in the table Packed */ };
static blob blobs[MOST_BLOBS];
static size_t blob_count;

static void find_blobs(const uint8_t *data) {
  const ert_fb_vector packed = ert_file_model_packed(ert_fb_root(data));
  for (uint32_t i = 0; i < packed.count && i < MOST_BLOBS; i++) {
    const ert_fb_table table = ert_fb_table_at(packed, i);
    const ert_fb_vector bytes = ert_file_packed_data(table);
    const uint8_t *checksum = ert_fb_at(table, ert_fields_packed[PACKED_CHECKSUM].offset);
    blobs[blob_count++] = (blob){(uint32_t)(bytes.data - data), bytes.count, (uint32_t)(checksum - data)};
  }
}

static void state_checksums(uint8_t *data) {
  for (size_t i = 0; i < blob_count; i++) {
    const uint64_t checksum = ert_buffer_hash(data + blobs[i].at, blobs[i].bytes);
    memcpy(data + blobs[i].checksum_at, &checksum, sizeof checksum);
  }
}

static void mutate_byte(uint8_t *data, uint32_t bytes) {
  uint32_t at = below(bytes);
  switch (below(4)) {
    case 0: data[at] = (uint8_t)random_u32(); break;
    case 1: data[at] ^= (uint8_t)(1u << below(8)); break;
    case 2: data[at] = data[below(bytes)]; break;
    default: {
      uint32_t length = 1 + below(16), from = below(bytes);
      if (at + length <= bytes && from + length <= bytes) memmove(data + at, data + from, length);
    }
  }
}

static size_t refused, ran;
static double slowest_s;

static void try_one(const uint8_t *data, size_t bytes) {
  ert_model *model;
  ert_session *session;
  void *copy;
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (fuzz_bind(data, bytes, &model, &session, &copy) == ERT_OK) {
    fuzz_invoke(model, session);
    ran++;
  } else {
    refused++;
  }
  fuzz_release(model, session, copy);
  clock_gettime(CLOCK_MONOTONIC, &end);
  double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
  if (seconds > slowest_s) slowest_s = seconds;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: mutate PACKAGE SEED COUNT\n");
    return 2;
  }
  FILE *file = fopen(argv[1], "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
    fprintf(stderr, "mutate: cannot open %s\n", argv[1]);
    return 2;
  }
  uint32_t bytes = (uint32_t)ftell(file);
  rewind(file);
  uint8_t *original = malloc(bytes), *data = malloc(bytes);
  if (original == NULL || data == NULL || fread(original, 1, bytes, file) != bytes) return 2;
  fclose(file);
  random_state = strtoull(argv[2], NULL, 10) * 2 + 1;
  long count = strtol(argv[3], NULL, 10);

  try_one(original, bytes);
  if (ran != 1) {
    fprintf(stderr, "mutate: %s itself is refused\n", argv[1]);
    return 2;
  }
  for (uint32_t length = 0; length < bytes; length++) try_one(original, length);
  places p = {0};
  collect(original, load_u32(original, 0), ERT_TABLE_MODEL, &p);
  find_blobs(original);
  for (long i = 0; i < count; i++) {
    memcpy(data, original, bytes);
    for (uint32_t n = 1 + below(i % 2 ? 3 : 8); n > 0; n--) {
      if (i % 2)
        mutate_field(data, &p);
      else
        mutate_byte(data, bytes);
    }
    if (i / 2 % 2) state_checksums(data);
    try_one(data, bytes);
  }
  printf("mutate %s: %" PRIu32 " truncations and %ld mutations (%zu places): %zu refused, %zu ran, slowest %.3f s\n",
         argv[1], bytes, count, p.count, refused, ran, slowest_s);
  free(p.items);
  free(original);
  free(data);
  return 0;
}
