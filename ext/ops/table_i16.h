/* A function of an int16 number as 513 entries, one for every 128th number, with linear interpolation. */
#ifndef ERT_OPS_TABLE_I16_H
#define ERT_OPS_TABLE_I16_H

#include <stdint.h>

#define ERT_TABLE_I16 513

static inline int16_t ert_table_i16_at(const int16_t *table, int16_t x) {
  const int32_t place = 256 + (x >> 7), base = table[place];
  return (int16_t)(base + (((table[place + 1] - base) * (x & 127) + 64) >> 7));
}

#endif
