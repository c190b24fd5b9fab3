/* How the kernels over these vectors are expanded: inline, with loops of constant length unrolled, so that arrays of
 * vectors become registers. */
#ifndef ERT_KERNELS_VF_INLINE_H
#define ERT_KERNELS_VF_INLINE_H

#define ERT_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define ERT_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ERT_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
