/* How kernels are expanded for constant sizes: inline, with loops of few, constant turns unrolled before the compiler
 * decides which arrays live in registers. Without that accumulators go through memory. */
#ifndef ERT_KERNELS_INLINE_H
#define ERT_KERNELS_INLINE_H

#define ERT_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define ERT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ERT_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
