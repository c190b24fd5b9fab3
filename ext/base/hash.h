/* A quick 64-bit hash: it notices damage and mistakes, not forgery. The value is part of the file format. */
#ifndef ERT_BASE_HASH_H
#define ERT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/* seed: 0, or the hash of what stands before, so that several pieces make one hash. */
uint64_t ert_hash(uint64_t seed, const void *data, size_t bytes);

static inline uint64_t ert_hash_u64(uint64_t seed, uint64_t value) { return ert_hash(seed, &value, sizeof value); }

#endif
