/* The body of every fgemm kernel: a tile of rows by blocks of channels in registers, one multiply-add a weight.
 *
 * A kernel file states its vector first (type ert_vf of ERT_VF floats, functions vf_...), then includes this and ends
 * in ERT_FGEMM_DEFINE. mr, nv and nb are constants wherever ert_fgemm_tile is expanded, so that the compiler unrolls
 * the loops over them and keeps `acc` in registers. Each output is one chain of multiply-adds that starts at the bias,
 * whatever the shape of the tile that computes it.
 */
#ifndef ERT_KERNELS_FGEMM_TILE_H
#define ERT_KERNELS_FGEMM_TILE_H

#include <stdbool.h>

#include "base/inline.h"
#include "base/memory.h"
#include "kernels/fgemm/fgemm.h"

/* Where loads of what is known already are cheaper than copies of registers (see kernels/vf). */
#if !defined(VF_FORGET)
#define VF_FORGET(p)
#endif

enum {
  ERT_FGEMM_MAX_MR = 8,
  ERT_FGEMM_MAX_VECTORS = 16, /* of a row */
  ERT_FGEMM_GEMV_BLOCKS = 4, /* of one row at once: enough chains to hide the latency of a multiply-add */
  ERT_FGEMM_CHUNK_FLOATS = 32 * 1024 /* of the left side: stays in a second-level cache while all blocks pass by */
};

typedef struct ert_fgemm_tile_out {
  float *at;
  size_t stride, channels; /* channels still to be written, from this tile's first on; may be more than the tile has */
} ert_fgemm_tile_out;

#if defined(ERT_VF_LANES)
/* acc += one lane of each row's run with its vectors of weights; `lane` is part of the instruction. */
#define ERT_FGEMM_LANE(w, lane)                                                                         \
  ERT_UNROLL for (size_t j = 0; j < nv; j++) {                                                          \
    ERT_UNROLL for (size_t r = 0; r < mr; r++)                                                          \
      acc[r][b * nv + j] = vf_multiply_add_lane(acc[r][b * nv + j], (w)[j], run[r], lane);              \
  }

/* A run of ERT_VF_LANES of k. vf_load_weights gives the weights of ERT_VF_WEIGHTS / nv of them; nv is 2. */
ERT_INLINE void ert_fgemm_lanes(size_t mr, size_t nv, size_t nb, const float **block, const ert_vf_run *run,
                                ert_vf acc[ERT_FGEMM_MAX_MR][ERT_FGEMM_MAX_VECTORS]) {
  ERT_UNROLL for (size_t b = 0; b < nb; b++) {
    ert_vf w[ERT_VF_WEIGHTS];
    block[b] = vf_load_weights(block[b], w);
    ERT_FGEMM_LANE(w, 0)
#if ERT_VF_LANES == 4
    ERT_FGEMM_LANE(w + nv, 1)
    block[b] = vf_load_weights(block[b], w);
    ERT_FGEMM_LANE(w, 2)
    ERT_FGEMM_LANE(w + nv, 3)
#else
    block[b] = vf_load_weights(block[b], w);
    ERT_FGEMM_LANE(w, 1)
#endif
  }
}
#endif

/* mr rows by nb blocks of nv vectors. */
ERT_INLINE void ert_fgemm_tile(const ert_fgemm_args *args, size_t mr, size_t nv, size_t nb, const float *const *rows,
                               const float *weights, size_t block_floats, ert_fgemm_tile_out out) {
  ert_vf acc[ERT_FGEMM_MAX_MR][ERT_FGEMM_MAX_VECTORS];
  const float *block[ERT_FGEMM_GEMV_BLOCKS];
  VF_FORGET(rows);
  ERT_UNROLL for (size_t b = 0; b < nb; b++) block[b] = weights + b * block_floats;
  ERT_UNROLL for (size_t r = 0; r < mr; r++) {
    ERT_UNROLL for (size_t j = 0; j < nv * nb; j++) acc[r][j] = vf_load(block[j / nv] + j % nv * ERT_VF);
    VF_FORGET(block[0]);
  }
  ERT_UNROLL for (size_t b = 0; b < nb; b++) block[b] += nv * ERT_VF;

  for (size_t t = 0; t < args->taps; t++) {
    const float *x[ERT_FGEMM_MAX_MR];
    ERT_UNROLL for (size_t r = 0; r < mr; r++) x[r] = rows[r] + args->tap_offset[t];
    size_t i = 0;
#if defined(ERT_VF_LANES)
    for (; i + ERT_VF_LANES <= args->k; i += ERT_VF_LANES) {
      ert_vf_run run[ERT_FGEMM_MAX_MR];
      ERT_UNROLL for (size_t r = 0; r < mr; r++) run[r] = vf_load_run(x[r] + i);
      ert_fgemm_lanes(mr, nv, nb, block, run, acc);
    }
#endif
    for (; i < args->k; i++) {
      ert_vf w[ERT_FGEMM_MAX_VECTORS];
      ERT_UNROLL for (size_t j = 0; j < nv * nb; j++) w[j] = vf_load(block[j / nv] + j % nv * ERT_VF);
      ERT_UNROLL for (size_t r = 0; r < mr; r++) {
        const ert_vf value = vf_dup(x[r] + i);
        ERT_UNROLL for (size_t j = 0; j < nv * nb; j++) acc[r][j] = vf_multiply_add(acc[r][j], w[j], value);
      }
      ERT_UNROLL for (size_t b = 0; b < nb; b++) block[b] += nv * ERT_VF;
    }
  }

  const float lo = args->out_min, hi = args->out_max;
  const bool whole = out.channels >= nv * nb * ERT_VF;
  float *to = out.at;
  VF_FORGET(to); /* made here from one pointer, not kept for every row from tile to tile */
  ERT_UNROLL for (size_t r = 0; r < mr; r++, to += out.stride) {
    if (whole) {
      ERT_UNROLL for (size_t j = 0; j < nv * nb; j++) vf_store(to + j * ERT_VF, vf_clamp(acc[r][j], lo, hi));
      continue;
    }
    ERT_UNROLL for (size_t j = 0; j < nv * nb; j++) {
      const ert_vf value = vf_clamp(acc[r][j], lo, hi);
      if (out.channels >= (j + 1) * ERT_VF) {
        vf_store(to + j * ERT_VF, value);
      } else if (out.channels > j * ERT_VF) {
        vf_store_part(to + j * ERT_VF, value, out.channels - j * ERT_VF);
      }
    }
  }
}

/* One block of channels for `mr` rows, mr in [1, max_mr]. */
ERT_INLINE void ert_fgemm_tile_rows(const ert_fgemm_args *args, size_t max_mr, size_t nv, size_t mr,
                                    const float *const *rows, const float *weights, ert_fgemm_tile_out out) {
  switch (mr) {
#define ERT_FGEMM_CASE(rows_here)                                                                  \
  case rows_here:                                                                                  \
    if (rows_here <= max_mr) ert_fgemm_tile(args, rows_here, nv, 1, rows, weights, 0, out);        \
    break;
    ERT_FGEMM_CASE(1)
    ERT_FGEMM_CASE(2)
    ERT_FGEMM_CASE(3)
    ERT_FGEMM_CASE(4)
    ERT_FGEMM_CASE(5)
    ERT_FGEMM_CASE(6)
    ERT_FGEMM_CASE(7)
    ERT_FGEMM_CASE(8)
#undef ERT_FGEMM_CASE
    default:
      break;
  }
}

/* Rows of a tile, so that m rows make tiles of nearly one size: 9 rows are 5 and 4, not 8 and 1. */
ERT_INLINE size_t ert_fgemm_even_rows(size_t m, size_t max_mr) {
  const size_t tiles = (m + max_mr - 1) / max_mr;
  return (m + tiles - 1) / tiles;
}

#define ERT_FGEMM_DEFINE(kernel_name, isa_id, MR, NV)                                                               \
  static void tile_rows_##kernel_name(const ert_fgemm_args *args, size_t mr, const float *const *rows,              \
                                      const float *weights, ert_fgemm_tile_out out) {                               \
    ert_fgemm_tile_rows(args, MR, NV, mr, rows, weights, out);                                                      \
  }                                                                                                                 \
  static void run_##kernel_name(const ert_fgemm_args *args, size_t m, const float *const *rows, float *out,         \
                                size_t out_stride) {                                                                \
    enum { NR = (NV) * ERT_VF };                                                                                    \
    const size_t depth = args->taps * args->k;                                                                      \
    const size_t block_floats = ert_round_up((depth + 1) * NR * sizeof(float), ERT_ALIGN) / sizeof(float);          \
    size_t first_n = 0;                                                                                             \
    if (m == 1) {                                                                                                   \
      enum { GROUP = ERT_FGEMM_GEMV_BLOCKS * NR };                                                                  \
      for (; first_n + GROUP <= args->n; first_n += GROUP) {                                                        \
        ert_fgemm_tile(args, 1, NV, ERT_FGEMM_GEMV_BLOCKS, rows, args->weights + first_n / NR * block_floats,       \
                       block_floats, (ert_fgemm_tile_out){out + first_n, out_stride, GROUP});                       \
      }                                                                                                             \
    }                                                                                                               \
    const size_t mr = ert_fgemm_even_rows(m, MR);                                                                   \
    const size_t chunk = args->n <= NR ? m : mr * ert_max_size(1, ERT_FGEMM_CHUNK_FLOATS / (depth * mr));           \
    for (size_t begin = 0; begin < m; begin += chunk) {                                                             \
      const size_t end = ert_min_size(m, begin + chunk);                                                            \
      for (size_t n = first_n; n < args->n; n += NR) {                                                              \
        for (size_t r = begin; r < end; r += mr) {                                                                  \
          tile_rows_##kernel_name(args, ert_min_size(mr, end - r), rows + r, args->weights + n / NR * block_floats, \
                                  (ert_fgemm_tile_out){out + r * out_stride + n, out_stride, args->n - n});         \
        }                                                                                                           \
      }                                                                                                             \
    }                                                                                                               \
  }                                                                                                                 \
  const ert_fgemm_kernel ert_fgemm_##kernel_name = {"fgemm_" #kernel_name, isa_id, MR, (NV) * ERT_VF,               \
                                                    run_##kernel_name}

#endif
