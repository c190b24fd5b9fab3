/* How kernels are expanded for constant sizes: inline, with loops of few, constant turns unrolled before the compiler
 * decides which arrays live in registers. Without that accumulators go through memory. */
#ifndef ERT_BASE_INLINE_H
#define ERT_BASE_INLINE_H

/* ERT_OR_MEMORY: appended to the constraint of an assembly operand that may as well be in memory. */
#define ERT_INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#if __has_feature(address_sanitizer) /* whose checks, unrolled, take clang minutes a file */
#define ERT_UNROLL
#else
#define ERT_UNROLL _Pragma("clang loop unroll(full)")
#endif
#define ERT_OR_MEMORY /* clang takes memory whenever it may, and puts registers there first */
#else
#define ERT_UNROLL _Pragma("GCC unroll 16")
#define ERT_OR_MEMORY "m"
#endif

#endif
