# cython: language_level=3, boundscheck=False, embedsignature=True
"""The C core's handles as Python objects: lifetimes, zero-copy views, errors. What is pleasant to use stands in
model.py and compat.py; the meaning of operators stands in C."""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBUF_WRITE, PyBuffer_Release, PyObject_GetBuffer
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strcmp

import operator
import os

from edgert import errors

_EXCEPTIONS = {
    ERT_IO_ERROR: errors.InputError,
    ERT_INVALID_FILE: errors.FileFormatError,
    ERT_INVALID_MODEL: errors.ModelError,
    ERT_UNSUPPORTED: errors.ModelError,
    ERT_OUT_OF_MEMORY: errors.OutOfMemoryError,
    ERT_INVALID_ARGUMENT: errors.InputError,
    ERT_RUNTIME_ERROR: errors.InvokeError,
}

# Buffer protocol format of each dtype, in the order of DType.
cdef const char *_FORMATS = "fbBhiq?e"
cdef int *_SIZES = [4, 1, 1, 2, 4, 8, 1, 2]


cdef int check(ert_status status, const ert_error *error) except -1:
    """The one place where a status becomes an exception."""
    if status == ERT_OK:
        return 0
    raise _EXCEPTIONS[<int>status](text(error.message))


# Names, labels and messages come from a file that may be a stranger's, and go to terminals and logs: control
# characters, which terminals obey, become U+FFFD. Lines and tabs stay.
_CONTROLS = {code: 0xFFFD for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}


cdef str text(const char *s):
    if s == NULL:
        return ""
    cdef str decoded = (<bytes>s).decode("utf-8", "replace")
    return decoded if decoded.isprintable() else decoded.translate(_CONTROLS)


def version():
    """The C core's version."""
    return text(ert_version())


def cpu_isas():
    """Instruction sets of this processor that edgert has kernels for, in rising order."""
    names = []
    cdef uint32_t i = 0
    while ert_cpu_isa(i) != NULL:
        names.append(text(ert_cpu_isa(i)))
        i += 1
    return tuple(names)


def host_target():
    """(architecture, instruction sets apart by blanks) of this machine, as `pack` takes them; the architecture is "" for
    one that edgert has no kernels of its own for."""
    cdef ert_error error
    cdef char[256] names
    check(ert_pack_instruction_sets(names, sizeof(names), &error), &error)
    return text(ert_pack_architecture()), text(names)


def buffer_hash(data):
    """What Buffer.hash of the schema states of these bytes."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    try:
        return ert_buffer_hash(view.buf, <size_t>view.len)
    finally:
        PyBuffer_Release(&view)


cdef extern from *:
    """
    #include <stdlib.h>
    #include <unistd.h>

    typedef struct {
        int fd;
        size_t size;
        unsigned char bytes[512];
    } ert_exit_note;

    #ifdef __GLIBC__ /* others have no handler that is told the status */
    static void ert_write_exit_note(int status, void *argument) {
        const ert_exit_note *note = (const ert_exit_note *)argument;
        if (status == 0 && pwrite(note->fd, note->bytes, note->size, 0) == (ssize_t)note->size) {
            fsync(note->fd);
        }
    }
    static int ert_note_exit(ert_exit_note *note) { return on_exit(ert_write_exit_note, note); }
    #else
    static int ert_note_exit(ert_exit_note *note) { (void)note; return -1; }
    #endif
    """
    ctypedef struct ert_exit_note:
        int fd
        size_t size
        unsigned char bytes[512]
    int ert_note_exit(ert_exit_note *note) nogil


def write_at_exit(int fd, bytes data not None):
    """Writes data, of at most 512 bytes, to the beginning of an open file when this process exits with status 0: which
    status it is, Python's own atexit does not know. False where the system's C library does not tell it either."""
    if len(data) > 512:
        raise errors.InputError(f"{len(data)} bytes to write at exit, at most 512 are possible")
    cdef ert_exit_note *note = <ert_exit_note *>malloc(sizeof(ert_exit_note))  # the process's, up to its end
    if note == NULL:
        raise MemoryError
    note.fd = fd
    note.size = <size_t>len(data)
    memcpy(note.bytes, <const char *>data, note.size)
    if ert_note_exit(note) != 0:
        free(note)
        return False
    return True


cdef ert_status append_packed(void *context, const ert_packed *packed) noexcept:
    try:
        (<list>context).append((packed.op, text(packed.kernel), packed.layout, packed.source, packed.checksum,
                                (<const char *>packed.data)[:packed.bytes]))
        return ERT_OK
    except MemoryError:
        return ERT_OUT_OF_MEMORY


def pack(Model model not None, str target_architecture, str instruction_sets):
    """(operator, kernel, layout, source, checksum, bytes) of all weights that are packed on a target: see core/pack.h.

    Raises InputError for an unknown architecture or instruction set, ModelError for one that this build cannot pack for.
    """
    cdef ert_error error
    cdef bytes c_architecture = target_architecture.encode(), c_sets = instruction_sets.encode()
    found = []
    check(ert_model_pack(model.handle, c_architecture, c_sets, append_packed, <void *>found, &error), &error)
    return found


cdef ert_isa_set allowed_isa(isa) except 0:
    """The processor's instruction sets up to `isa`; None: the environment's ERT_ISA_MAX. Never empty."""
    cdef ert_error error
    cdef ert_isa_set allowed = 0
    cdef bytes name = b"" if isa is None else isa.encode()
    cdef const char *c_name = NULL
    if isa is not None:
        c_name = name
    check(ert_bench_isa(c_name, &allowed, &error), &error)
    return allowed


def clock_hz():
    """The clock of the core at work, in Hertz: dependent additions a second. Takes some milliseconds."""
    cdef double hz
    with nogil:
        hz = ert_bench_clock_hz()
    return hz


def peaks(isa=None):
    """(instruction set, dtype code, instructions, multiply-adds a second) of what one core reaches on registers alone,
    for every instruction set up to `isa`, in rising order. Takes some milliseconds for each."""
    cdef ert_isa_set allowed = allowed_isa(isa)
    cdef ert_bench_peak peak
    cdef bint measured
    cdef uint32_t i
    found = []
    for i in range(ert_bench_peak_count()):
        with nogil:
            measured = ert_bench_measure_peak(i, allowed, &peak)
        if measured:
            found.append((text(peak.isa), peak.dtype, text(peak.instructions), peak.macs_per_second))
    return found


def kernel_cases(isa=None):
    """What KernelBench measures for the instruction sets up to `isa`: (index, family, layer, kernel, instruction set,
    dtype code, whether the layer gets this kernel when its instruction set is the highest, whether the operations are
    multiply-adds (else elements), operations)."""
    cdef ert_isa_set allowed = allowed_isa(isa)
    cdef ert_bench_case case
    cdef uint32_t i
    found = []
    for i in range(ert_bench_case_count()):
        if ert_bench_describe(i, allowed, &case):
            found.append((i, text(case.family), text(case.layer), text(case.kernel), text(case.isa), case.dtype,
                          case.selected, case.counts_macs, case.operations))
    return found


cdef class Model:
    """An opened package: mapped from `path`, or held in `content` (any object with the buffer protocol).

    Raises InputError, FileFormatError or ModelError.
    """

    def __cinit__(self, path=None, content=None):
        cdef ert_error error
        cdef ert_status status
        cdef bytes name
        cdef const char *c_name
        if content is not None:
            PyObject_GetBuffer(content, &self.source, PyBUF_SIMPLE)
            self.holds_source = True
            with nogil:
                status = ert_model_open_memory(self.source.buf, <size_t>self.source.len, &self.handle, &error)
        else:
            name = os.fsencode(path)
            c_name = name
            with nogil:
                status = ert_model_open_file(c_name, &self.handle, &error)
        check(status, &error)

    def __dealloc__(self):
        ert_model_close(self.handle)
        if self.holds_source:
            PyBuffer_Release(&self.source)

    @property
    def inputs(self):
        """Tensor indices of the inputs."""
        return tuple(ert_model_input(self.handle, i) for i in range(ert_model_input_count(self.handle)))

    @property
    def outputs(self):
        """Tensor indices of the outputs."""
        return tuple(ert_model_output(self.handle, i) for i in range(ert_model_output_count(self.handle)))

    @property
    def tensor_count(self):
        return ert_model_tensor_count(self.handle)

    @property
    def op_count(self):
        return ert_model_op_count(self.handle)

    def op(self, uint32_t index):
        """(type, name, input tensor indices, output tensor indices) of operator `index`; -1: an absent input."""
        cdef ert_op_info info
        if ert_model_op(self.handle, index, &info) != ERT_OK:
            raise IndexError(f"there is no operator {index}; the model has {self.op_count}")
        inputs = tuple(info.inputs[i] for i in range(info.input_count))
        outputs = tuple(info.outputs[i] for i in range(info.output_count))
        return text(info.type), text(info.name), inputs, outputs

    def metadata(self, str key):
        """The metadata entry `key`, or None."""
        cdef bytes name = key.encode()
        cdef const char *value = ert_model_metadata(self.handle, name)
        return None if value == NULL else text(value)

    @property
    def metadata_keys(self):
        """Keys of the entries beyond the fixed ones."""
        return tuple(text(ert_model_entry_key(self.handle, i)) for i in range(ert_model_entry_count(self.handle)))

    @property
    def golden_count(self):
        """How many runs the packer recorded."""
        return ert_model_golden_count(self.handle)

    def golden(self, uint32_t run):
        """(inputs, outputs) of recorded run `run`: the bytes of every input's and every output's elements, copied."""
        cdef size_t size
        cdef const char *data
        if run >= ert_model_golden_count(self.handle):
            raise IndexError(f"there is no golden run {run}; the model has {self.golden_count}")
        inputs, outputs = [], []
        for i in range(ert_model_input_count(self.handle)):
            data = <const char *>ert_model_golden_input(self.handle, run, i, &size)
            inputs.append(data[:size])
        for i in range(ert_model_output_count(self.handle)):
            data = <const char *>ert_model_golden_output(self.handle, run, i, &size)
            outputs.append(data[:size])
        return tuple(inputs), tuple(outputs)

    @property
    def targets(self):
        """(name, architecture, instruction sets, operators, bytes) of every target that weights are packed for."""
        cdef ert_target_info info
        found = []
        for i in range(ert_model_target_count(self.handle)):
            ert_model_target(self.handle, i, &info)
            found.append((text(info.name), text(info.architecture), text(info.instruction_sets), info.ops, info.bytes))
        return tuple(found)

    def check_target(self, uint32_t index):
        """(fresh, stale, wrong): operators whose packed weights for target `index` are what packing anew gives; that pack
        when they are bound; and that would use other bytes than their weights packed. Raises as `pack` does."""
        cdef ert_error error
        cdef ert_target_check counts
        check(ert_model_check_target(self.handle, index, &counts, &error), &error)
        return counts.fresh, counts.stale, counts.wrong

    @property
    def labels(self):
        return tuple(text(ert_model_label(self.handle, i)) for i in range(ert_model_label_count(self.handle)))

    @property
    def normalisation(self):
        """(mean, std), a float per channel each: x = (pixel - mean) / std. Empty when the file says nothing."""
        cdef const float *mean
        cdef const float *std
        cdef uint32_t count
        ert_model_normalisation(self.handle, &mean, &std, &count)
        return tuple(mean[i] for i in range(count)), tuple(std[i] for i in range(count))


CUSTOM_LIBRARY_SYMBOL = (<bytes>ERT_CUSTOM_LIBRARY_SYMBOL).decode()


def custom_library(size_t first, uint32_t count):
    """Name -> address of every entry of an array of ert_custom_op."""
    cdef const ert_custom_op *ops = <const ert_custom_op *>first
    found = {}
    for i in range(count):
        if ops != NULL and ops[i].name != NULL:
            found[text(ops[i].name)] = <size_t>&ops[i]
    return found


cdef list raw_tensors(const ert_tensor_info *infos, uint32_t count, int access):
    """(memory, dtype code, shape) of tensors, for as long as the call lasts."""
    return [
        (PyMemoryView_FromMemory(<char *>infos[i].data, <Py_ssize_t>infos[i].bytes, access), <int>infos[i].dtype,
         tuple(infos[i].dims[j] for j in range(infos[i].rank)))
        for i in range(count)
    ]


cdef ert_status run_python(void *user, const ert_custom_call *call, ert_error *error) noexcept with gil:
    """invoke of a custom operator that is a Python function."""
    cdef bytes message
    cdef Py_ssize_t size
    try:
        (<object>user)(text(call.options), raw_tensors(call.inputs, call.input_count, PyBUF_READ),
                       raw_tensors(call.outputs, call.output_count, PyBUF_WRITE))
        return ERT_OK
    except BaseException as raised:
        message = " ".join(f"{type(raised).__name__}: {raised}".split()).encode()[:400]
        size = len(message)
        memcpy(error.message, <const char *>message, <size_t>size)
        error.message[size] = 0
        return ERT_RUNTIME_ERROR


cdef list custom_functions(Model model):
    """(name, function or address of an ert_custom_op) of operators from outside; none for a model that has no such, so
    that it starts without what they need."""
    cdef ert_op_info info
    for i in range(ert_model_op_count(model.handle)):
        ert_model_op(model.handle, i, &info)
        if strcmp(info.type, "custom") == 0:
            from edgert.runtime.custom_ops import bound_ops
            return bound_ops()
    return []


cdef class Session:
    """An instance of a model with its own memory. One thread at a time: while invoke or step runs, another thread that
    calls invoke, step, resize_input, rewind or reset_variables gets an InputError. What it writes into the tensors'
    memory meanwhile is not kept apart.

    threads: those that share the work, the caller's included. isa: highest instruction set ("avx2"), or None.
    memory_limit: bytes, 0 for the default (1 GiB). keep_all_tensors: nothing in the arena is reused, nothing is fused.
    fusion: operators run together where it pays; the environment's ERT_FUSION overrides True.
    Operators from outside that the model has come from edgert.custom.
    """

    def __cinit__(self, Model model not None, int threads=1, isa=None, size_t memory_limit=0, bint keep_all_tensors=False,
                  bint fusion=True):
        cdef ert_error error
        cdef ert_session_options options
        cdef bytes isa_name = b"" if isa is None else isa.encode()
        cdef const char *isa_max = isa_name
        cdef ert_status status
        self.model = model
        options.threads = threads
        options.isa_max = NULL
        if isa is not None:
            options.isa_max = isa_max
        options.memory_limit = memory_limit
        options.keep_all_tensors = keep_all_tensors
        options.fusion = ERT_FUSION_AUTO if fusion else ERT_FUSION_OFF
        self.custom = [(name.encode(), function) for name, function in custom_functions(model)]
        cdef ert_custom_op *ops = <ert_custom_op *>malloc(max(len(self.custom), 1) * sizeof(ert_custom_op))
        if ops == NULL:
            raise MemoryError()
        for i, (name, function) in enumerate(self.custom):
            if isinstance(function, int):
                ops[i] = (<ert_custom_op *><size_t>function)[0]
            else:
                ops[i].name = <bytes>name
                ops[i].prepare = NULL
                ops[i].invoke = run_python
                ops[i].user = <void *>function
        options.custom_ops = ops
        options.custom_op_count = <uint32_t>len(self.custom)
        with nogil:
            status = ert_session_create(model.handle, &options, &self.handle, &error)
        free(ops)
        check(status, &error)

    def __dealloc__(self):
        ert_session_destroy(self.handle)

    cdef int enter(self) except -1:
        """Takes the session for the calling thread, or raises InputError; the interpreter lock makes it atomic."""
        if self.running:
            raise errors.InputError("another thread is running this model: give every thread an interpreter of its own")
        return 0

    def tensor(self, uint32_t index):
        """(name, dtype code, kind, shape, scales, zero points, quantised axis) of a tensor."""
        cdef ert_tensor_info info
        if ert_session_tensor(self.handle, index, &info) != ERT_OK:
            raise errors.InputError(f"there is no tensor {index}; the model has {self.model.tensor_count}")
        shape = tuple(info.dims[i] for i in range(info.rank))
        scales = tuple(info.scales[i] for i in range(info.quant_count))
        zero_points = tuple(info.zero_points[i] for i in range(info.quant_count))
        return text(info.name), info.dtype, info.kind, shape, scales, zero_points, info.quant_axis

    def view(self, uint32_t index):
        """The tensor's own memory, by the buffer protocol: numpy.asarray(session.view(i)) copies nothing."""
        return TensorView(self, index)

    def invoke(self):
        """Runs the model. Raises InvokeError when an operator fails on its data."""
        cdef ert_error error
        cdef ert_status status
        self.enter()
        self.running = True
        with nogil:
            status = ert_session_invoke(self.handle, &error)
        self.running = False
        check(status, &error)

    def step(self):
        """Runs the next operator by itself and returns its index; None at the end, after which it starts over. Operators
        that have an expansion() have run already, and are no steps."""
        cdef ert_error error
        cdef ert_status status
        cdef uint32_t op
        self.enter()
        self.running = True
        with nogil:
            status = ert_session_step(self.handle, &op, &error)
        self.running = False
        if status == ERT_END:
            return None
        check(status, &error)
        return op

    def time_ops(self, bint fused=True):
        """Runs the model once, from its first operator on: a list of (operator, count, start, end), in nanoseconds of a
        clock that never goes back. count: that many operators from this one on ran together; always 1 when not `fused`.
        Raises InvokeError when an operator fails on its data."""
        cdef ert_error error
        cdef ert_status status = ERT_OK
        cdef uint32_t done = 0, limit = ert_model_op_count(self.model.handle)
        cdef uint32_t *ops = NULL  # pairs of operator and count
        cdef uint64_t *times = NULL  # times[i + 1]: when step i ended
        self.enter()
        ops = <uint32_t *>malloc((limit + 1) * 2 * sizeof(uint32_t))
        times = <uint64_t *>malloc((limit + 1) * sizeof(uint64_t))
        try:
            if ops == NULL or times == NULL:
                raise errors.OutOfMemoryError("no memory for the times of the operators")
            self.running = True
            with nogil:
                ert_session_rewind(self.handle)
                times[0] = ert_bench_now_ns()
                while done < limit:
                    if fused:
                        status = ert_session_step_group(self.handle, &ops[2 * done], &ops[2 * done + 1], &error)
                    else:
                        ops[2 * done + 1] = 1
                        status = ert_session_step(self.handle, &ops[2 * done], &error)
                    if status != ERT_OK:
                        break
                    done += 1
                    times[done] = ert_bench_now_ns()
                ert_session_rewind(self.handle)
            self.running = False
            if status != ERT_END:
                check(status, &error)
            return [(ops[2 * i], ops[2 * i + 1], times[i], times[i + 1]) for i in range(done)]
        finally:
            free(ops)
            free(times)

    def rewind(self):
        """Starts over before the first operator."""
        self.enter()
        ert_session_rewind(self.handle)

    def reset_variables(self):
        """Puts every variable back to its initial value."""
        self.enter()
        ert_session_reset_variables(self.handle)

    def resize_input(self, uint32_t input, shape):
        """Gives input number `input` another shape. Raises InputError while a view of the memory is in use."""
        cdef ert_error error
        cdef ert_status status
        cdef int32_t dims[8]
        # All of the caller's code (iteration, __index__) runs before the checks that what follows relies on.
        cdef tuple sizes = tuple(operator.index(dim) for dim in shape)
        cdef uint32_t rank = len(sizes)
        if rank > 8:
            raise errors.InputError(f"{rank} dimensions; at most 8 are possible")
        for i in range(rank):
            if not 1 <= sizes[i] < 2**31:
                raise errors.InputError(f"dimension {i} is {sizes[i]}, needed 1 to {2**31 - 1}")
            dims[i] = sizes[i]
        self.enter()
        if self.exports:
            raise errors.InputError(
                f"{self.exports} arrays still point into the interpreter's memory: delete them before resizing"
            )
        # Not without the interpreter lock: another thread must not look at tensors while they move.
        status = ert_session_resize_input(self.handle, input, rank, dims, &error)
        check(status, &error)

    def group(self, uint32_t op):
        """(first, count) of the operators that run together with `op`; (op, 1) when it runs by itself."""
        cdef uint32_t first
        cdef uint32_t count = ert_session_group(self.handle, op, &first)
        return first, count

    def kernel(self, uint32_t op):
        """Name of the kernel that an operator was bound to, or ''."""
        return text(ert_session_kernel(self.handle, op))

    def packed_in_file(self, uint32_t op):
        """Whether an operator uses weights packed beforehand, where they lie in the package."""
        return ert_session_packed_in_file(self.handle, op)

    def expansion(self, uint32_t op):
        """What an operator did that expands stored weights, once, when the session was made or resized: (bytes of its
        output, those of them that stay in memory, nanoseconds). None for all others, which step() and invoke() run."""
        cdef ert_expansion found
        if not ert_session_expansion(self.handle, op, &found):
            return None
        return found.bytes, found.kept_bytes, found.nanoseconds

    @property
    def isa(self):
        """The highest instruction set in use."""
        return text(ert_session_isa(self.handle))

    @property
    def arena_bytes(self):
        return ert_session_arena_bytes(self.handle)

    @property
    def total_bytes(self):
        """Arena, packed weights, variables and bookkeeping."""
        return ert_session_total_bytes(self.handle)

    @property
    def peak_bytes(self):
        """The most that total_bytes was while the session was made: with weights that were expanded to be packed."""
        return ert_session_peak_bytes(self.handle)


cdef class KernelBench:
    """The memory that single kernels are measured in, with the instruction sets up to `isa`. Raises OutOfMemoryError."""

    def __cinit__(self, isa=None):
        cdef ert_error error
        self.isa = allowed_isa(isa)
        check(ert_bench_create(&self.handle, &error), &error)

    def __dealloc__(self):
        ert_bench_destroy(self.handle)

    def run(self, uint32_t index, unsigned runs=7):
        """Nanoseconds of one call of case `index`, the least of some runs of 2 ms. It keeps the interpreter lock, so
        that nobody else works in the same memory."""
        cdef ert_bench_case case
        if not ert_bench_describe(index, self.isa, &case):
            raise IndexError(f"there is no case {index} for this processor")
        return ert_bench_run(self.handle, index, runs)


@cython.no_gc_clear  # it is in no cycle, and __dealloc__ needs the session
cdef class TensorView:
    """A tensor's memory with its shape and type (PEP 3118). Keeps the session alive. Constants are read-only."""

    def __cinit__(self, Session session not None, uint32_t index):
        if ert_session_tensor(session.handle, index, &self.info) != ERT_OK:
            raise errors.InputError(f"there is no tensor {index}; the model has {session.model.tensor_count}")
        if self.info.data == NULL:
            raise errors.InputError(
                f"tensor {text(self.info.name)!r} has no memory: it is not used, or was needed only to pack weights; "
                "keep_all_tensors keeps what is expanded"
            )
        self.session = session
        self.readonly = self.info.kind == 1
        self.format[0] = _FORMATS[self.info.dtype]
        self.format[1] = 0
        session.exports += 1
        cdef Py_ssize_t stride = _SIZES[self.info.dtype]
        cdef int i = <int>self.info.rank
        while i > 0:
            i -= 1
            self.shape[i] = self.info.dims[i]
            self.strides[i] = stride
            stride *= self.info.dims[i]

    def __dealloc__(self):
        if self.session is not None:
            self.session.exports -= 1

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if self.readonly and flags & PyBUF_WRITABLE:
            raise BufferError("a constant cannot be written")
        buffer.buf = self.info.data
        buffer.obj = self
        buffer.len = <Py_ssize_t>self.info.bytes
        buffer.itemsize = _SIZES[self.info.dtype]
        buffer.readonly = self.readonly
        buffer.ndim = <int>self.info.rank
        buffer.format = self.format
        buffer.shape = self.shape
        buffer.strides = self.strides
        buffer.suboffsets = NULL
        buffer.internal = NULL

    def __releasebuffer__(self, Py_buffer *buffer):
        pass
