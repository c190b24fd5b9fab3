# The public C API, as ext/include/edgert.h documents it.
from libc.stdint cimport int32_t, uint32_t, uint64_t


cdef extern from "edgert.h" nogil:
    ctypedef enum ert_status:
        ERT_OK
        ERT_IO_ERROR
        ERT_INVALID_FILE
        ERT_INVALID_MODEL
        ERT_UNSUPPORTED
        ERT_OUT_OF_MEMORY
        ERT_INVALID_ARGUMENT
        ERT_RUNTIME_ERROR
        ERT_END

    ctypedef struct ert_error:
        char message[512]

    ctypedef enum ert_fusion:
        ERT_FUSION_AUTO
        ERT_FUSION_OFF

    ctypedef int ert_dtype
    ctypedef int ert_tensor_kind

    ctypedef struct ert_model
    ctypedef struct ert_session

    ctypedef struct ert_op_info:
        const char *type
        const char *name
        uint32_t input_count
        uint32_t output_count
        const int32_t *inputs
        const int32_t *outputs

    ctypedef struct ert_tensor_info:
        const char *name
        ert_dtype dtype
        ert_tensor_kind kind
        uint32_t rank
        const int32_t *dims
        size_t bytes
        void *data
        uint32_t quant_count
        int32_t quant_axis
        const float *scales
        const int32_t *zero_points

    ctypedef struct ert_custom_call:
        const char *name
        const char *options
        uint32_t input_count
        uint32_t output_count
        const ert_tensor_info *inputs
        const ert_tensor_info *outputs

    ctypedef ert_status (*ert_custom_fn)(void *user, const ert_custom_call *call, ert_error *error) noexcept

    ctypedef struct ert_custom_op:
        const char *name
        ert_custom_fn prepare
        ert_custom_fn invoke
        void *user

    const char *ERT_CUSTOM_LIBRARY_SYMBOL

    ctypedef struct ert_session_options:
        int threads
        const char *isa_max
        size_t memory_limit
        bint keep_all_tensors
        ert_fusion fusion
        const ert_custom_op *custom_ops
        uint32_t custom_op_count

    const char *ert_version()
    ert_status ert_model_open_file(const char *path, ert_model **model, ert_error *error)
    ert_status ert_model_open_memory(const void *data, size_t size, ert_model **model, ert_error *error)
    void ert_model_close(ert_model *model)
    uint32_t ert_model_input_count(const ert_model *model)
    uint32_t ert_model_output_count(const ert_model *model)
    uint32_t ert_model_tensor_count(const ert_model *model)
    uint32_t ert_model_op_count(const ert_model *model)
    uint32_t ert_model_input(const ert_model *model, uint32_t i)
    uint32_t ert_model_output(const ert_model *model, uint32_t i)
    ert_status ert_model_op(const ert_model *model, uint32_t index, ert_op_info *info)
    const char *ert_model_metadata(const ert_model *model, const char *key)
    uint32_t ert_model_entry_count(const ert_model *model)
    const char *ert_model_entry_key(const ert_model *model, uint32_t i)
    uint32_t ert_model_label_count(const ert_model *model)
    const char *ert_model_label(const ert_model *model, uint32_t i)
    void ert_model_normalisation(const ert_model *model, const float **mean, const float **std, uint32_t *count)

    uint32_t ert_model_golden_count(const ert_model *model)
    const void *ert_model_golden_input(const ert_model *model, uint32_t run, uint32_t i, size_t *bytes)
    const void *ert_model_golden_output(const ert_model *model, uint32_t run, uint32_t i, size_t *bytes)

    ctypedef struct ert_target_info:
        const char *name
        const char *architecture
        const char *instruction_sets
        uint32_t ops
        size_t bytes

    uint32_t ert_model_target_count(const ert_model *model)
    ert_status ert_model_target(const ert_model *model, uint32_t index, ert_target_info *info)

    ert_status ert_session_create(const ert_model *model, const ert_session_options *options, ert_session **session,
                                  ert_error *error)
    void ert_session_destroy(ert_session *session)
    ert_status ert_session_tensor(const ert_session *session, uint32_t index, ert_tensor_info *info)
    ert_status ert_session_resize_input(ert_session *session, uint32_t i, uint32_t rank, const int32_t *dims,
                                        ert_error *error)
    ert_status ert_session_invoke(ert_session *session, ert_error *error)
    ert_status ert_session_step(ert_session *session, uint32_t *op, ert_error *error)
    ert_status ert_session_step_group(ert_session *session, uint32_t *op, uint32_t *count, ert_error *error)
    void ert_session_rewind(ert_session *session)
    void ert_session_reset_variables(ert_session *session)
    size_t ert_session_arena_bytes(const ert_session *session)
    size_t ert_session_total_bytes(const ert_session *session)
    size_t ert_session_peak_bytes(const ert_session *session)

    ctypedef struct ert_expansion:
        size_t bytes
        size_t kept_bytes
        uint64_t nanoseconds

    bint ert_session_expansion(const ert_session *session, uint32_t op, ert_expansion *expansion)
    uint32_t ert_session_group(const ert_session *session, uint32_t op, uint32_t *first)
    const char *ert_session_kernel(const ert_session *session, uint32_t op)
    bint ert_session_packed_in_file(const ert_session *session, uint32_t op)
    const char *ert_session_isa(const ert_session *session)
    const char *ert_cpu_isa(uint32_t i)


# What packs weights for targets, as ext/core/pack.h documents it.
cdef extern from "core/pack.h":
    ctypedef struct ert_packed:
        uint32_t op
        const char *kernel
        uint64_t layout
        uint64_t source
        uint64_t checksum
        const void *data
        size_t bytes

    ctypedef ert_status (*ert_packed_fn)(void *context, const ert_packed *packed) noexcept

    ert_status ert_model_pack(const ert_model *model, const char *architecture, const char *instruction_sets,
                              ert_packed_fn take, void *context, ert_error *error)

    ctypedef struct ert_target_check:
        uint32_t fresh
        uint32_t stale
        uint32_t wrong

    ert_status ert_model_check_target(const ert_model *model, uint32_t target, ert_target_check *check, ert_error *error)
    uint64_t ert_buffer_hash(const void *data, size_t size)
    const char *ert_pack_architecture()
    ert_status ert_pack_instruction_sets(char *names, size_t size, ert_error *error)


# What measures kernels and the core that they run on, as ext/bench/bench.h documents it.
cdef extern from "bench/bench.h" nogil:
    ctypedef uint32_t ert_isa_set

    ctypedef struct ert_bench_peak:
        const char *isa
        const char *instructions
        ert_dtype dtype
        double macs_per_second

    ctypedef struct ert_bench_case:
        const char *family
        const char *layer
        const char *kernel
        const char *isa
        ert_dtype dtype
        bint selected
        bint counts_macs
        double operations

    ctypedef struct ert_bench

    ert_status ert_bench_isa(const char *isa_max, ert_isa_set *isa, ert_error *error)
    uint64_t ert_bench_now_ns()
    double ert_bench_clock_hz()
    uint32_t ert_bench_peak_count()
    bint ert_bench_measure_peak(uint32_t i, ert_isa_set isa, ert_bench_peak *peak)
    uint32_t ert_bench_case_count()
    bint ert_bench_describe(uint32_t i, ert_isa_set isa, ert_bench_case *case)
    ert_status ert_bench_create(ert_bench **bench, ert_error *error)
    void ert_bench_destroy(ert_bench *bench)
    double ert_bench_run(ert_bench *bench, uint32_t i, unsigned runs)


cdef class Model:
    cdef ert_model *handle
    cdef Py_buffer source
    cdef bint holds_source


cdef class Session:
    cdef ert_session *handle
    cdef readonly Model model
    cdef int exports  # buffers that point into this session's memory
    cdef list custom  # names and functions of custom operators, which the C session points to
    cdef bint running  # a thread is in the C core, without the interpreter lock
    cdef int enter(self) except -1


cdef class KernelBench:
    cdef ert_bench *handle
    cdef ert_isa_set isa


cdef class TensorView:
    cdef Session session
    cdef ert_tensor_info info
    cdef Py_ssize_t shape[8]
    cdef Py_ssize_t strides[8]
    cdef char format[2]
    cdef bint readonly
