/* Instruction sets: what this processor and its system allow. One file a kernel, one name an instruction set. */
#ifndef ERT_BASE_ISA_H
#define ERT_BASE_ISA_H

#include <stdbool.h>
#include <stdint.h>

/* In rising order within an architecture; a cap (ERT_ISA_MAX) allows everything up to its own place.
 * The names are those of the kernel files and of isa_flags.txt. */
typedef enum ert_isa {
  ERT_ISA_SCALAR,
  ERT_ISA_SSE41,
  ERT_ISA_AVX2,       /* with FMA and F16C, as every AVX2 processor has */
  ERT_ISA_AVXVNNI,
  ERT_ISA_AVX512VNNI, /* F, BW, DQ, VL and VNNI */
  ERT_ISA_AMX,        /* tiles and their int8 products, beside AVX512VNNI */
  ERT_ISA_NEON,
  ERT_ISA_NEONDOT,    /* aarch64 with SDOT */
  ERT_ISA_NEONI8MM,   /* aarch64 with SDOT and SMMLA */
  ERT_ISA_COUNT
} ert_isa;

#if defined(__x86_64__)
#define ERT_ARCH_X86_64 1
#elif defined(__aarch64__)
#define ERT_ARCH_AARCH64 1
#elif defined(__arm__) && (__ARM_ARCH >= 7)
#define ERT_ARCH_ARMV7 1
#endif

/* Set of instruction sets, a bit each (1u << ert_isa). */
typedef uint32_t ert_isa_set;

/* Mark of a set: the processor computes the XOR of 512-bit vectors where it computes their products (Intel's do, on ports
 * 0 and 5), so that a kernel is better off without. Which kernel runs never changes a result. */
#define ERT_ISA_TURNS_COST ((ert_isa_set)1 << 29)

/* Mark of a set with ERT_ISA_AVX512VNNI: the processor has AVX512-VBMI, permutations of bytes across a vector. */
#define ERT_ISA_VBMI ((ert_isa_set)1 << 28)

/* Marks of a set that belongs to another architecture, for which weights can be packed here: every build knows how the
 * kernels of these want them, and none of its own kernels is meant. */
#define ERT_ISA_OF_AARCH64 ((ert_isa_set)1 << 30)
#define ERT_ISA_OF_ARMV7 ((ert_isa_set)1 << 31)

/* Every instruction set that processor and operating system support; always has ERT_ISA_SCALAR.
 * Linux gives the tiles of AMX to processes that ask for them, and this asks: all threads may use them then, and stacks
 * for signals (sigaltstack) need 8 KiB more. If one is too small already, Linux refuses, and AMX is left out. */
ert_isa_set ert_isa_detect(void);

/* The part of `set` up to and including `cap`, with the marks that say something of it. */
ert_isa_set ert_isa_up_to(ert_isa_set set, ert_isa cap);

/* "avx2" and so on; false when the name is not known. */
const char *ert_isa_name(ert_isa isa);
bool ert_isa_parse(const char *name, ert_isa *isa);

static inline bool ert_isa_has(ert_isa_set set, ert_isa isa) { return (set >> isa) & 1u; }

#endif
