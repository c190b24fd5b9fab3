/* edgert: an int8 inference runtime for small devices. The public C API.
 *
 *     ert_error error;
 *     ert_model *model = NULL;
 *     ert_session *session = NULL;
 *     if (ert_model_open_file("digits.ert", &model, &error) != ERT_OK) goto failed;
 *     if (ert_session_create(model, NULL, &session, &error) != ERT_OK) goto failed;
 *
 *     ert_tensor_info in, out;
 *     ert_session_tensor(session, ert_model_input(model, 0), &in);     // dtype, shape, quantisation, data
 *     ert_session_tensor(session, ert_model_output(model, 0), &out);
 *     fill_image(in.data, in.bytes);
 *     if (ert_session_invoke(session, &error) != ERT_OK) goto failed;
 *     use_scores(out.data, out.bytes);
 *
 *   failed:
 *     if (error.message[0]) fprintf(stderr, "%s\n", error.message);
 *     ert_session_destroy(session);   // NULL is fine
 *     ert_model_close(model);
 *
 * Rules. A model is immutable and may serve several sessions at once, in any threads; it must outlive them. A session
 * is one instance of the arena and belongs to one thread at a time. Tensor data stays at its address until
 * ert_session_resize_input or ert_session_destroy. Nothing is allocated by invoke. Every function that can fail
 * returns ert_status and, when `error` is not NULL, sets error->message ("" on success).
 */
#ifndef EDGERT_H
#define EDGERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ert_status {
  ERT_OK = 0,
  ERT_IO_ERROR = 1,         /* the file cannot be opened or mapped */
  ERT_INVALID_FILE = 2,     /* not an .ert file, cut short, or damaged */
  ERT_INVALID_MODEL = 3,    /* well-formed, but it means something impossible */
  ERT_UNSUPPORTED = 4,      /* an operator or type that this build does not have */
  ERT_OUT_OF_MEMORY = 5,    /* no memory, or the session's memory limit is reached */
  ERT_INVALID_ARGUMENT = 6, /* the caller's mistake */
  ERT_RUNTIME_ERROR = 7,    /* data made an operator fail (an index out of range) */
  ERT_END = 8               /* ert_session_step: the last operator has run */
} ert_status;

typedef struct ert_error {
  char message[512];
} ert_error;

/* Values are those of DType in schemas/ert.fbs. */
typedef enum ert_dtype {
  ERT_FLOAT32 = 0, ERT_INT8 = 1, ERT_UINT8 = 2, ERT_INT16 = 3, ERT_INT32 = 4, ERT_INT64 = 5, ERT_BOOL = 6,
  ERT_FLOAT16 = 7
} ert_dtype;

typedef enum ert_tensor_kind { ERT_ACTIVATION = 0, ERT_CONSTANT = 1, ERT_VARIABLE = 2 } ert_tensor_kind;

typedef struct ert_model ert_model;
typedef struct ert_session ert_session;

const char *ert_version(void);
const char *ert_status_name(ert_status status);

/* --- models --- */

/* Maps the file, verifies its bytes and validates its meaning. */
ert_status ert_model_open_file(const char *path, ert_model **model, ert_error *error);
/* The same for a file in memory, which must stay there unchanged until ert_model_close (it is copied only when data
 * is not aligned to 16 bytes). */
ert_status ert_model_open_memory(const void *data, size_t bytes, ert_model **model, ert_error *error);
void ert_model_close(ert_model *model);

uint32_t ert_model_input_count(const ert_model *model);
uint32_t ert_model_output_count(const ert_model *model);
uint32_t ert_model_tensor_count(const ert_model *model);
uint32_t ert_model_op_count(const ert_model *model);
/* Tensor index of input or output i; UINT32_MAX when there is no such one. */
uint32_t ert_model_input(const ert_model *model, uint32_t i);
uint32_t ert_model_output(const ert_model *model, uint32_t i);

typedef struct ert_op_info {
  const char *type; /* "conv2d" */
  const char *name; /* of the source node */
  uint32_t input_count, output_count;
  const int32_t *inputs; /* tensor indices, -1: absent */
  const int32_t *outputs;
} ert_op_info;
ert_status ert_model_op(const ert_model *model, uint32_t index, ert_op_info *info);

/* Metadata: "name", "description", "licence", "toolchain", "source_sha256", "calibration_sha256", or an entry's key;
 * NULL when absent. */
const char *ert_model_metadata(const ert_model *model, const char *key);
uint32_t ert_model_entry_count(const ert_model *model);
const char *ert_model_entry_key(const ert_model *model, uint32_t i);
uint32_t ert_model_label_count(const ert_model *model);
const char *ert_model_label(const ert_model *model, uint32_t i); /* NULL when there is no such one */
/* Per-channel normalisation x = (pixel - mean[c]) / std[c]; count is 0 when the file has none. */
void ert_model_normalisation(const ert_model *model, const float **mean, const float **std, uint32_t *count);

/* Golden runs: inputs and outputs that the packer recorded, by which a device can check itself. They have the shapes of
 * the file; variables start from their initial values. */
uint32_t ert_model_golden_count(const ert_model *model);
/* The elements of input or output i in golden run `run`, as they lie in the tensor, and their bytes (may be NULL). They
 * stay until ert_model_close, and may lie unaligned in a file of a stranger's. NULL when there is no such one. */
const void *ert_model_golden_input(const ert_model *model, uint32_t run, uint32_t i, size_t *bytes);
const void *ert_model_golden_output(const ert_model *model, uint32_t run, uint32_t i, size_t *bytes);

/* What the package brings packed weights for; on another processor weights are packed when a session is created. */
typedef struct ert_target_info {
  const char *name; /* "host", "aarch64-dotprod" */
  const char *architecture;
  const char *instruction_sets; /* apart by blanks */
  uint32_t ops;                 /* operators whose weights are packed for it */
  size_t bytes;                 /* of those weights */
} ert_target_info;
uint32_t ert_model_target_count(const ert_model *model);
ert_status ert_model_target(const ert_model *model, uint32_t index, ert_target_info *info);

/* --- sessions --- */

/* Operators of which one alone reads what the other computes may run together, on a part of the tensors at a time that
 * stays in the cache. Results are the same. */
typedef enum ert_fusion {
  ERT_FUSION_AUTO = 0, /* where it pays; the environment's ERT_FUSION (off, on, all) overrides it */
  ERT_FUSION_OFF = 1,  /* nowhere: for comparing */
  ERT_FUSION_ALL = 2   /* wherever it is possible: for tests */
} ert_fusion;

/* Operators from outside: a model names them (code CUSTOM), and whoever runs it brings them. */
typedef struct ert_tensor_info {
  const char *name;
  ert_dtype dtype;
  ert_tensor_kind kind;
  uint32_t rank;
  const int32_t *dims;
  size_t bytes;
  void *data; /* constants must not be written */
  uint32_t quant_count; /* 0: not quantised; 1: per tensor; else per channel along quant_axis */
  int32_t quant_axis;
  const float *scales; /* real = scale * (q - zero_point) */
  const int32_t *zero_points;
} ert_tensor_info;

typedef struct ert_custom_call {
  const char *name;    /* of the source node */
  const char *options; /* the source's attributes, as JSON: {"alpha": 0.5} */
  uint32_t input_count, output_count;
  const ert_tensor_info *inputs; /* name is NULL for one that is absent */
  const ert_tensor_info *outputs;
} ert_custom_call;

typedef struct ert_custom_op {
  const char *name; /* "com.example.Magic" */
  /* May be NULL. Refuses (ERT_INVALID_MODEL and a message) what invoke cannot run; only constants have data yet. */
  ert_status (*prepare)(void *user, const ert_custom_call *call, ert_error *error);
  /* Computes the outputs. Any status but ERT_OK ends ert_session_invoke with it and the message. */
  ert_status (*invoke)(void *user, const ert_custom_call *call, ert_error *error);
  void *user;
} ert_custom_op;

/* What a shared library of custom operators exports under this name: its operators, and how many. */
#define ERT_CUSTOM_LIBRARY_SYMBOL "edgert_custom_ops"
typedef const ert_custom_op *(*ert_custom_library)(uint32_t *count);

typedef struct ert_session_options {
  int threads;             /* the caller's included; 0: 1 */
  const char *isa_max;     /* highest instruction set ("scalar", "sse41", "avx2", ...); NULL: the environment's
                              ERT_ISA_MAX, or all that the processor has */
  size_t memory_limit;     /* bytes that the session may take; 0: 1 GiB */
  bool keep_all_tensors;   /* every tensor keeps its own memory, for looking at them after invoke; nothing is fused */
  ert_fusion fusion;
  const ert_custom_op *custom_ops; /* copied; what they point to must outlive the session */
  uint32_t custom_op_count;
} ert_session_options;

ert_status ert_session_create(const ert_model *model, const ert_session_options *options, ert_session **session,
                              ert_error *error);
void ert_session_destroy(ert_session *session);

ert_status ert_session_tensor(const ert_session *session, uint32_t index, ert_tensor_info *info);

/* Gives input i another shape and plans anew: addresses of tensors change. On failure the session keeps its old shape. */
ert_status ert_session_resize_input(ert_session *session, uint32_t i, uint32_t rank, const int32_t *dims,
                                    ert_error *error);

ert_status ert_session_invoke(ert_session *session, ert_error *error);
/* Runs one operator by itself and says which (op may be NULL); ERT_END when none is left, and the next step starts
 * over. Operators that have run when the session was created (ert_session_expansion) are no steps. */
ert_status ert_session_step(ert_session *session, uint32_t *op, ert_error *error);
/* The same, but operators that ert_session_invoke runs together run together here too: *op (may be NULL) is the first
 * of *count (may be NULL). */
ert_status ert_session_step_group(ert_session *session, uint32_t *op, uint32_t *count, ert_error *error);
/* Starts over before the first operator. */
void ert_session_rewind(ert_session *session);
/* Puts every variable back to its initial value. */
void ert_session_reset_variables(ert_session *session);

size_t ert_session_arena_bytes(const ert_session *session);
size_t ert_session_total_bytes(const ert_session *session); /* arena, packed weights, variables, bookkeeping */
size_t ert_session_peak_bytes(const ert_session *session);  /* the most that it was while the session was made */

/* Weights may be stored in fewer bytes than they are computed with. Operators that spread them out (dequantize,
 * unpack_int4, cast, reshape), on constants and on one another, run when a session is created or resized, and never
 * again: ert_session_invoke and ert_session_step leave them out, and what they make are constants. */
typedef struct ert_expansion {
  size_t bytes;      /* of its output; 0: nobody asked for it, for the file brings packed what would be made of it */
  size_t kept_bytes; /* of those that stay; the others were given back when kernels had packed them: data is NULL then */
  uint64_t nanoseconds; /* that it took */
} ert_expansion;
/* Whether operator `op` is one of these; then *expansion (may be NULL) says what it did. */
bool ert_session_expansion(const ert_session *session, uint32_t op, ert_expansion *expansion);
/* How many operators run together with operator `op`, itself included, and the first of them (may be NULL). */
uint32_t ert_session_group(const ert_session *session, uint32_t op, uint32_t *first);
/* The kernel that an operator was bound to ("qgemm_avx512vnni_7x32"), or "" when it has no choice. */
const char *ert_session_kernel(const ert_session *session, uint32_t op);
/* Whether an operator uses weights packed beforehand, where they lie in the file. */
bool ert_session_packed_in_file(const ert_session *session, uint32_t op);
/* The highest instruction set in use. */
const char *ert_session_isa(const ert_session *session);

/* Instruction sets of this processor, in rising order; NULL when there is no such one. ert_cpu_isa(0) is "scalar". */
const char *ert_cpu_isa(uint32_t i);

#ifdef __cplusplus
}
#endif

#endif
