/* What an operator is to the core, and what the core gives to an operator.
 *
 * An operator has two functions. `prepare` runs when a model is bound and again when an input is resized: it checks
 * everything (count and types of tensors, shapes, attributes, quantisation), states the shape of every output, picks
 * kernels, packs weights into memory from ert_prepare_alloc and asks for scratch. `invoke` runs the operator and
 * trusts what prepare proved; it does not allocate and checks only indices that come from data.
 *
 *     static ert_status prepare(ert_prepare *p, ert_op *op) {
 *       ERT_REQUIRE(p, op->in[0]->dtype == ERT_DTYPE_FLOAT32, "input is %s, needed float32", ...);
 *       return ert_prepare_shape(p, op->out[0], op->in[0]->rank, op->in[0]->dims);
 *     }
 *     static ert_status invoke(ert_op *op) { ... op->in[0]->data ... return ERT_OK; }
 *     const ert_op_def ert_op_relu = {"relu", 1, 1, 1, prepare, invoke};
 *
 * and one line in ops.inc.
 */
#ifndef ERT_OPS_OP_H
#define ERT_OPS_OP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/isa.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/schema.h"
#include "edgert.h"
#include "ops/band.h"

#define ERT_MAX_RANK 8

typedef struct ert_tensor {
  const char *name;
  uint8_t dtype; /* ERT_DTYPE_... */
  uint8_t kind;  /* ERT_TENSOR_KIND_... */
  uint8_t rank;
  int32_t dims[ERT_MAX_RANK];
  size_t elements; /* product of dims; checked against overflow; 0 when a dimension is 0 */
  size_t bytes;
  void *data; /* prepare: only constants have it. invoke: always there, but for constants that prepare has packed */
  /* Quantisation: quant_count is 0 (none), 1 (per tensor) or dims[quant_axis] (per channel). Scales are finite and
   * positive and zero points lie within the dtype: validated. */
  uint32_t quant_count;
  int32_t quant_axis;
  const float *scales;
  const int32_t *zero_points;
} ert_tensor;

typedef struct ert_op_def ert_op_def;

typedef struct ert_op {
  const ert_op_def *def;
  uint32_t index;
  const char *name; /* of the source node */
  uint32_t in_count, out_count;
  ert_tensor **in;  /* an entry is NULL when an optional input is absent */
  ert_tensor **out;
  ert_fb_table attrs; /* of this operator's own attribute table (checked); NULL table when absent: all defaults */
  void *state;        /* prepare's, from ert_prepare_alloc */
  const char *kernel; /* name of the kernel that prepare chose, for profiles; NULL when there is no choice */
  bool packed_in_file; /* its weights are used as they lie in the file (ert_prepare_packed) */
  uint32_t unread;     /* prepare: inputs, a bit each, that it has packed, so that invoke does not read them */
  void *scratch;      /* invoke: as many bytes as ert_prepare_scratch asked for, aligned to ERT_ALIGN */
  const char *failure; /* why invoke failed, where it can say more than its status; else NULL */
  ert_bands bands;    /* prepare: the form that lets it run in a group; kind ERT_BAND_NONE: none */
  ert_pool *pool;
} ert_op;

typedef struct ert_prepare ert_prepare; /* the core's side of prepare */

#define ERT_ANY_NUMBER 255 /* of outputs */

enum { /* of operators */
  /* It only spreads its inputs out: one output, in a time that is proportional to its size, without scratch memory, and it
   * cannot fail on its data. On constants alone it runs when a model is bound (core/expand.c). */
  ERT_TRAIT_EXPANDS = 1,
  /* prepare looks at its constants' elements in ert_packing.pack alone, or behind ert_prepare_constants. */
  ERT_TRAIT_PACKS = 2
};

struct ert_op_def {
  const char *name;
  uint8_t min_inputs, max_inputs; /* the first min_inputs are never NULL */
  uint8_t outputs;
  ert_status (*prepare)(ert_prepare *p, ert_op *op);
  ert_status (*invoke)(ert_op *op);
  uint8_t traits; /* ERT_TRAIT_... */
};

/* Takes bytes (zeroed, aligned to ERT_ALIGN) that live as long as the binding. NULL when there is no memory or the
 * session's memory limit is reached; return ERT_OUT_OF_MEMORY then. */
void *ert_prepare_alloc(ert_prepare *p, size_t bytes);

/* Constants that a kernel wants packed. */
typedef struct ert_packing {
  const void *kernel;
  const char *kernel_name;
  ert_isa isa;                            /* the kernel's */
  uint64_t (*layout)(const void *kernel); /* hash of where packing puts every byte; 0: unknown */
  uint64_t source; /* hash of all that is packed beside the operator's constants: sizes, multipliers, zero points */
  size_t bytes;
  /* Fills `packed`, which is zeroed and aligned to ERT_ALIGN. */
  ert_status (*pack)(const void *context, void *packed);
  const void *context;
} ert_packing;

/* The packed constants, aligned to ERT_ALIGN, for the life of the binding: those that the file brings for this very
 * kernel, where they lie in it, or else new ones. */
ert_status ert_prepare_packed(ert_prepare *p, const ert_packing *packing, const void **packed);

/* Sees to it that the elements of all the operator's constants are there, which are otherwise made when they are needed
 * first, and not at all where the file brings them packed. For operators with ERT_TRAIT_PACKS. */
ert_status ert_prepare_constants(ert_prepare *p);

/* Asks for scratch memory during invoke; the last call wins. */
void ert_prepare_scratch(ert_prepare *p, size_t bytes);

/* States the shape of an output. Fails when the file says another one, or when the size overflows. */
ert_status ert_prepare_shape(ert_prepare *p, ert_tensor *out, int rank, const int32_t *dims);

/* Instruction sets that kernels may use in this session. */
ert_isa_set ert_prepare_isa(const ert_prepare *p);
int ert_prepare_threads(const ert_prepare *p);
/* The operator from outside that the session was given under this name; NULL when there is none. */
const ert_custom_op *ert_prepare_custom(const ert_prepare *p, const char *name);
/* Whether the binding is for its packed weights alone and will not be run. */
bool ert_prepare_only_packs(const ert_prepare *p);

/* Reports why the model is refused; the message gets the operator's index, name and type in front.
 * Say what was found and what was needed. */
ert_status ert_prepare_fail(ert_prepare *p, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;

#define ERT_REQUIRE(p, condition, ...)                              \
  do {                                                              \
    if (!(condition)) return ert_prepare_fail((p), __VA_ARGS__);    \
  } while (0)

#define ERT_TRY(call)                        \
  do {                                       \
    ert_status ert_try_ = (call);            \
    if (ert_try_ != ERT_OK) return ert_try_; \
  } while (0)

const char *ert_dtype_name(int dtype);
size_t ert_dtype_size(int dtype);

/* Checks shared by operators; each reports what it found. `what` names the tensor ("input", "weights"). */
ert_status ert_check_dtype(ert_prepare *p, const ert_tensor *t, const char *what, int dtype);
ert_status ert_check_rank(ert_prepare *p, const ert_tensor *t, const char *what, int rank);
ert_status ert_check_per_tensor(ert_prepare *p, const ert_tensor *t, const char *what); /* int8: one scale */
ert_status ert_check_constant(ert_prepare *p, const ert_tensor *t, const char *what);
bool ert_same_shape(const ert_tensor *a, const ert_tensor *b);
bool ert_same_quant(const ert_tensor *a, const ert_tensor *b); /* both per tensor, equal scale and zero point */
/* axis in [-rank, rank) made non-negative. */
ert_status ert_check_axis(ert_prepare *p, int axis, int rank, int *normalised);

/* Bounds that a fused activation puts on float and on int8 outputs. An int8 bound is
 * clamp(rne(f / scale) + zero_point), in float32. */
void ert_activation_range_f32(int activation, float *lo, float *hi);
void ert_activation_range_i8(int activation, float scale, int32_t zero_point, int8_t *lo, int8_t *hi);

/* Splits n items into at most `parts` pieces whose starts are multiples of `unit`; piece i is [*begin, *end). */
static inline void ert_split(size_t n, size_t unit, size_t parts, size_t i, size_t *begin, size_t *end) {
  size_t units = n / unit + (n % unit != 0), each = units / parts, rest = units % parts;
  size_t b = (each * i + rest * i / parts) * unit; /* units * i / parts, which could overflow */
  size_t e = (each * (i + 1) + rest * (i + 1) / parts) * unit;
  *begin = b < n ? b : n;
  *end = e < n ? e : n;
}

#endif
