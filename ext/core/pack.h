/* Packing constants for a target, to be stored in a package: what the toolchain needs of the core beyond edgert.h. */
#ifndef ERT_CORE_PACK_H
#define ERT_CORE_PACK_H

#include "edgert.h"

/* One operator's packed constants, as the table Packed of the schema has them. */
typedef struct ert_packed {
  uint32_t op;
  const char *kernel;
  uint64_t layout, source, checksum;
  uint64_t stated_source; /* `source` with the hashes that the file states of its constants, as the loader takes them */
  const void *data;
  size_t bytes;
} ert_packed;

/* What `data` points to lives until it returns. Any status but ERT_OK ends the packing. */
typedef ert_status (*ert_packed_fn)(void *context, const ert_packed *packed);

/* Packs as the loader on the target would, and hands out every operator's constants, in rising order of op.
 * architecture: "x86_64", "aarch64" or "armv7"; instruction_sets: names, apart by blanks, in any order, and "intel" where
 * AVX-512 is Intel's. For another architecture than this build's it knows the kernels' layouts; only those of x86_64 no
 * other build knows. */
ert_status ert_model_pack(const ert_model *model, const char *architecture, const char *instruction_sets,
                          ert_packed_fn take, void *context, ert_error *error);

/* How what a package brings for a target compares with packing anew. */
typedef struct ert_target_check {
  uint32_t fresh; /* operators that find the very same bytes in the file */
  uint32_t stale; /* that find nothing fit, and pack when they are bound */
  uint32_t wrong; /* that would use other bytes than their weights packed: a damaged file, or a forged one */
} ert_target_check;
ert_status ert_model_check_target(const ert_model *model, uint32_t target, ert_target_check *check, ert_error *error);

/* What Buffer.hash states of these bytes. */
uint64_t ert_buffer_hash(const void *data, size_t bytes);

/* This machine, as ert_model_pack takes it: its architecture ("" for one that has no kernels of its own) and the
 * instruction sets that a session uses by default, in at most `size` bytes. */
const char *ert_pack_architecture(void);
ert_status ert_pack_instruction_sets(char *names, size_t size, ert_error *error);

#endif
