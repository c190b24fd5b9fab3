/* Packing constants for a target, to be stored in a package: what the toolchain needs of the core beyond edgert.h. */
#ifndef ERT_CORE_PACK_H
#define ERT_CORE_PACK_H

#include "edgert.h"

/* One operator's packed constants, as the table Packed of the schema has them. */
typedef struct ert_packed {
  uint32_t op;
  const char *kernel;
  uint64_t layout, source, checksum;
  const void *data;
  size_t bytes;
} ert_packed;

/* What `data` points to lives until it returns. Any status but ERT_OK ends the packing. */
typedef ert_status (*ert_packed_fn)(void *context, const ert_packed *packed);

/* Packs as the loader on the target would, and hands out every operator's constants, in rising order of op.
 * architecture: "x86_64", "aarch64" or "armv7"; instruction_sets: names, apart by blanks, in any order. For another
 * architecture than this build's it knows the kernels' layouts; only those of x86_64 no other build knows. */
ert_status ert_model_pack(const ert_model *model, const char *architecture, const char *instruction_sets,
                          ert_packed_fn take, void *context, ert_error *error);

/* What Buffer.hash states of these bytes. */
uint64_t ert_buffer_hash(const void *data, size_t bytes);

/* This build's, as ert_model_pack takes it; "" for one that has no kernels of its own. */
const char *ert_pack_architecture(void);

#endif
