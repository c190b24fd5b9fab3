#include "base/isa.h"

#include <stddef.h>
#include <string.h>

#if defined(ERT_ARCH_X86_64)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__linux__) && (defined(ERT_ARCH_AARCH64) || defined(ERT_ARCH_ARMV7))
#include <sys/auxv.h>
#endif

static const char *const NAMES[ERT_ISA_COUNT] = {
    [ERT_ISA_SCALAR] = "scalar",   [ERT_ISA_SSE41] = "sse41",           [ERT_ISA_AVX2] = "avx2",
    [ERT_ISA_AVXVNNI] = "avxvnni", [ERT_ISA_AVX512VNNI] = "avx512vnni", [ERT_ISA_AMX] = "amx",
    [ERT_ISA_NEON] = "neon",       [ERT_ISA_NEONDOT] = "neondot",       [ERT_ISA_NEONI8MM] = "neoni8mm",
};

#if defined(ERT_ARCH_X86_64)
/* Which register state the system saves (Intel SDM vol. 1, 13.3): without it AVX instructions fault or lose data. */
static uint64_t xcr0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return ((uint64_t)high << 32) | low;
}

static bool all(uint32_t found, uint32_t needed) { return (found & needed) == needed; }

/* Asks for the data of tiles, which are not part of a process from the start (Linux, Documentation/arch/x86/xstate.rst).
 * A system that cannot be asked does not give them. */
static bool may_use_tiles(void) {
#if defined(__linux__)
  const long req_xcomp_perm = 0x1023, tile_data = 18;
  return syscall(SYS_arch_prctl, req_xcomp_perm, tile_data) == 0;
#else
  return false;
#endif
}

ert_isa_set ert_isa_detect(void) {
  enum { XMM_YMM = 0x6, XMM_YMM_ZMM = 0xE6, TILES = 0x60000 };
  ert_isa_set set = 1u << ERT_ISA_SCALAR;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return set;
  const uint32_t leaf1_c = c;
  if (leaf1_c & bit_SSE4_1) set |= 1u << ERT_ISA_SSE41;
  const uint64_t saved = leaf1_c & bit_OSXSAVE ? xcr0() : 0;
  if ((saved & XMM_YMM) != XMM_YMM || !all(leaf1_c, bit_AVX | bit_FMA | bit_F16C)) return set;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2)) return set;
  const uint32_t leaf7_b = b, leaf7_c = c, leaf7_d = d, subleaves = a;
  set |= 1u << ERT_ISA_AVX2;
  const uint32_t avx_vnni = 1u << 4; /* leaf 7, subleaf 1, EAX; older cpuid.h files have another name for it */
  if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & avx_vnni)) set |= 1u << ERT_ISA_AVXVNNI;
  if ((saved & XMM_YMM_ZMM) == XMM_YMM_ZMM && all(leaf7_b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) &&
      (leaf7_c & bit_AVX512VNNI)) {
    set |= 1u << ERT_ISA_AVX512VNNI;
    if (leaf7_c & bit_AVX512VBMI) set |= ERT_ISA_VBMI;
    const uint32_t amx_tile = 1u << 24, amx_int8 = 1u << 25; /* leaf 7, EDX; older cpuid.h files lack them */
    if ((saved & TILES) == TILES && all(leaf7_d, amx_tile | amx_int8) && may_use_tiles()) set |= 1u << ERT_ISA_AMX;
    if (__get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx) set |= ERT_ISA_TURNS_COST;
  }
  return set;
}

#elif defined(__linux__) && defined(ERT_ARCH_AARCH64)
ert_isa_set ert_isa_detect(void) {
  /* Bits of the kernel's arch/arm64/include/uapi/asm/hwcap.h; old C libraries lack the newer names. */
  const unsigned long asimd = 1ul << 1, asimddp = 1ul << 20, i8mm = 1ul << 13;
  const unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
  ert_isa_set set = 1u << ERT_ISA_SCALAR;
  if (!(hwcap & asimd)) return set;
  set |= 1u << ERT_ISA_NEON;
  if (!(hwcap & asimddp)) return set;
  set |= 1u << ERT_ISA_NEONDOT;
  if (hwcap2 & i8mm) set |= 1u << ERT_ISA_NEONI8MM;
  return set;
}

#elif defined(__linux__) && defined(ERT_ARCH_ARMV7)
ert_isa_set ert_isa_detect(void) {
  const unsigned long neon = 1ul << 12; /* arch/arm/include/uapi/asm/hwcap.h */
  ert_isa_set set = 1u << ERT_ISA_SCALAR;
  if (getauxval(AT_HWCAP) & neon) set |= 1u << ERT_ISA_NEON;
  return set;
}

#elif defined(ERT_ARCH_AARCH64)
/* Advanced SIMD belongs to the base of AArch64; without the auxiliary vector nothing more is known. */
ert_isa_set ert_isa_detect(void) { return 1u << ERT_ISA_SCALAR | 1u << ERT_ISA_NEON; }

#else
ert_isa_set ert_isa_detect(void) { return 1u << ERT_ISA_SCALAR; }
#endif

ert_isa_set ert_isa_up_to(ert_isa_set set, ert_isa cap) {
  if ((unsigned)cap >= ERT_ISA_COUNT) return set;
  const ert_isa_set all = (1u << ERT_ISA_COUNT) - 1, below = (2u << cap) - 1;
  if (cap < ERT_ISA_AVX512VNNI) set &= ~(ERT_ISA_TURNS_COST | ERT_ISA_VBMI);
  return (set & (below | ~all)) | 1u << ERT_ISA_SCALAR;
}

const char *ert_isa_name(ert_isa isa) { return (unsigned)isa < ERT_ISA_COUNT ? NAMES[isa] : "unknown"; }

bool ert_isa_parse(const char *name, ert_isa *isa) {
  for (int i = 0; i < ERT_ISA_COUNT; i++) {
    if (strcmp(name, NAMES[i]) == 0) {
      *isa = (ert_isa)i;
      return true;
    }
  }
  return false;
}
