/* AMX: a tile of sums is up to 16 rows by 16 channels of 32 bits, and one instruction adds the products of up to 64 k.
 *
 * Four tiles hold sums: 1 tile of rows by 4 of channels, 2 by 2 or 4 by 1, whatever wastes least of n. The others hold
 * the left side and the weights, several of each, so that loads go ahead of the products. Sums begin as the bias,
 * which is loaded with a stride of 0 between rows; when they are complete they go through a buffer in the first-level
 * cache and are rounded from there by vectors, as requant/requant.h has it. In the instruction stream the first loads
 * of the next tiles stand before the stores of sums, and the rounding of these behind the products of the next tiles.
 * The processor works at both then; and neither those loads nor those of the rounding come behind stores of the
 * other's sums, with which they would agree in address bits 0 to 11, for which Intel's processors hold loads back
 * (Optimization Reference Manual, "4-KByte aliasing").
 *
 * Cycles of Sapphire Rapids for 16 rows by 64 channels: products 16 an instruction, 64 for every 64 k; tile loads 8
 * each, 40 for every 64 k and 32 for the bias; rounding 17 instructions on two ports for 64 outputs, 136; 64 to store
 * sums. To configure the tiles takes about 200, hence many_rows.
 *
 * Where AVX512-VNNI is left alone: it takes 11 cycles for a k of these outputs (90 MAC a cycle) and 136 to round them,
 * 312 for 16 k. A prototype of AMX, whose parts added up to 64 for products, 20 and 32 for loads, 64 for stores and
 * 144 for rounding, was measured to tie with it there. Outputs of a ReLU are rounded in 96 now, hence LEAST_K. A tile
 * of few rows has the same loads of weights as any, 32 cycles for 64 k and 64 channels, in which AVX512-VNNI computes
 * 2 rows: LEAST_M is where AMX is certain to gain. PACE, which is for threads, is what the prototype gained over a
 * whole network's pointwise layers.
 *
 * 64 channels of more than MOST_K k do not stay in the first-level cache while the rows pass by. 2 by 2 tiles take
 * half as many weights from the second level, 2 KiB for 64 cycles of products.
 */
#include "kernels/qgemm/amx_round.h"
#include "kernels/qgemm/spills.h"

enum { LEAST_M = 4, LEAST_K = 16, MOST_K = 512, PACE = 2 };
enum { LEFT_BYTES = 24 * 1024 }; /* of the left side that stay in the first-level cache */

/* Assembly, not intrinsics: those of GCC do not say that they read memory. Tiles are named by numbers in the text. */
#define LOAD(tile, from, stride) \
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(from), "r"((ptrdiff_t)(stride)) : "memory")
#define STORE(tile, to) \
  __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(to), "r"((ptrdiff_t)ROW) : "memory")
#define PRODUCTS(sums, left, right) __asm__ volatile("tdpbssd %%tmm" #right ", %%tmm" #left ", %%tmm" #sums : :)

/* One product, as all of its tiles see it. */
typedef struct product {
  const ert_qgemm_args *args;
  ert_qgemm_steps steps;
  size_t m, height;   /* height: rows of a tile, no more than m */
  const int8_t *const *rows;
  size_t out_stride;
  bool usual; /* saturation to int8 is the only bound, and no product is above the int32 range */
  int32_t reach; /* how far sums can get from a bias that may be raised; 0: none may */
} product;

/* The left side of a tile: rows `step` bytes apart, or rows anywhere, which a step gathers. */
typedef struct left {
  const int8_t *at;
  ptrdiff_t step;
  const int8_t *const *rows; /* NULL: none to gather */
} left;

/* Complete sums of output rows first to end - 1: in tiles still, or stored. */
typedef struct waiting {
  int32_t *sums; /* for every tile of rows, for every tile of channels: [16][16] */
  size_t tiles;  /* of rows */
  const uint8_t *block;
  bool raised;
  const ert_qgemm_spills *spills;
  size_t first, end, channels;
  int8_t *out; /* of row `first` */
} waiting;

/* Of heights that make nearly equal tiles, that which takes the fewest cycles: a tile costs about two rows beside its
 * own. */
static size_t height_of(size_t m) {
  const size_t fewest = (m + TILE - 1) / TILE;
  size_t best = 0, best_cost = SIZE_MAX;
  for (size_t tiles = fewest; tiles < fewest + 3; tiles++) {
    const size_t height = (m + tiles - 1) / tiles, cost = tiles * (height + 2);
    if (cost < best_cost) best = height, best_cost = cost;
  }
  return best;
}

/* Tiles 0 to 3 hold sums; left sides are before tile first_right, weights from there on. */
static void configure(const product *p, int first_right) {
  uint8_t config[64] = {1}; /* the palette: 8 tiles of 16 rows of 64 bytes */
  for (int t = 0; t < 8; t++) {
    const bool sums = t < SUMS, right = t >= first_right;
    config[16 + 2 * t] = sums || right ? ROW : (uint8_t)p->steps.k;
    config[48 + t] = (uint8_t)(right ? p->steps.k / 4 : p->height);
  }
  __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

/* Whether `count` rows are equally far apart: `step` receives how far. */
static bool equally_apart(const int8_t *const *rows, size_t count, ptrdiff_t *step) {
  *step = count > 1 ? rows[1] - rows[0] : 0;
  const __m512i steps = _mm512_set1_epi64(*step);
  for (size_t i = 0; i + 1 < count; i += 8) {
    const __mmask8 valid = (__mmask8)(0xff >> (count - 1 - i < 8 ? 8 - (count - 1 - i) : 0));
    const __m512i here = _mm512_maskz_loadu_epi64(valid, rows + i);
    const __m512i next = _mm512_maskz_loadu_epi64(valid, rows + i + 1);
    if (_mm512_mask_cmpneq_epi64_mask(valid, _mm512_sub_epi64(next, here), steps) != 0) return false;
  }
  return true;
}

/* Where the tile begins whose rows begin with `first`: the last one reaches back over rows of the one before. */
static size_t tile_begin(const product *p, size_t first) {
  return first + p->height > p->m ? p->m - p->height : first;
}

static left left_of(const product *p, size_t first) {
  const size_t begin = tile_begin(p, first);
  left x = {p->rows[begin], p->args->row_step, NULL};
  if (p->steps.k > p->args->k || (x.step == 0 && !equally_apart(p->rows + begin, p->height, &x.step))) {
    x.rows = p->rows + begin;
    x.step = ROW;
  }
  return x;
}

/* Lays a step of a tile's rows side by side, and bytes of 0 where the tap ends before the step. */
static __attribute__((noinline)) void gather(const product *p, const int8_t *const *rows, ptrdiff_t offset,
                                             int8_t panel[TILE * ROW]) {
  const __mmask64 valid = ~UINT64_C(0) >> (64 - ert_min_size(p->steps.k, p->args->k));
  for (size_t i = 0; i < p->height; i++)
    _mm512_store_si512(panel + i * ROW, _mm512_maskz_loadu_epi8(valid, rows[i] + offset));
}

#define LEFT(tile, i)                                              \
  do {                                                             \
    const int8_t *from = x[i].at + offset;                         \
    if (x[i].rows != NULL) {                                       \
      gather(p, x[i].rows, offset, panel[i]);                      \
      from = panel[i];                                             \
    }                                                              \
    LOAD(tile, from, x[i].step);                                   \
  } while (0)
#define RIGHT(tile, v) LOAD(tile, w + (v)*tile_bytes, ROW)

/* Loads what the products of the first step begin with, where there are tiles for it. */
ERT_INLINE void load_first(const product *p, const left *x, int8_t panel[SUMS][TILE * ROW], const uint8_t *w,
                           const int vectors) {
  const size_t tile_bytes = TILE * p->steps.k;
  const ptrdiff_t offset = p->args->tap_offset[0];
  LEFT(4, 0);
  if (vectors == 4) {
    RIGHT(5, 0);
    RIGHT(6, 1);
    RIGHT(7, 2);
  } else if (vectors == 2) {
    RIGHT(6, 0);
    RIGHT(7, 1);
  } else {
    RIGHT(7, 0);
  }
}

ERT_INLINE void load_biases(const uint8_t *bias, size_t tiles, const int vectors) {
  LOAD(0, bias, 0);
  if (vectors == 4) {
    LOAD(1, bias + ROW, 0);
    LOAD(2, bias + 2 * ROW, 0);
    LOAD(3, bias + 3 * ROW, 0);
  } else if (vectors == 2) {
    LOAD(1, bias + ROW, 0);
    if (tiles > 1) LOAD(2, bias, 0);
    if (tiles > 1) LOAD(3, bias + ROW, 0);
  } else {
    if (tiles > 1) LOAD(1, bias, 0);
    if (tiles > 2) LOAD(2, bias, 0);
    if (tiles > 3) LOAD(3, bias, 0);
  }
}

/* All k of `tiles` tiles of rows by `vectors` tiles of channels, whose first tiles are loaded. */
ERT_INLINE void add_products(const product *p, const left *x, int8_t panel[SUMS][TILE * ROW], size_t tiles,
                             const uint8_t *w, const int vectors) {
  const ert_qgemm_args *args = p->args;
  const ert_qgemm_steps steps = p->steps;
  const size_t tile_bytes = TILE * steps.k;
  bool loaded = true;
  for (size_t t = 0; t < args->taps; t++) {
    for (size_t i = 0; i < steps.count; i++, w += (size_t)vectors * tile_bytes, loaded = false) {
      const ptrdiff_t offset = args->tap_offset[t] + (ptrdiff_t)ert_qgemm_step_begin(steps, args->k, i);
      if (!loaded) LEFT(4, 0);
      if (vectors == 4) {
        if (!loaded) RIGHT(5, 0);
        PRODUCTS(0, 4, 5);
        if (!loaded) RIGHT(6, 1);
        PRODUCTS(1, 4, 6);
        if (!loaded) RIGHT(7, 2);
        PRODUCTS(2, 4, 7);
        RIGHT(5, 3);
        PRODUCTS(3, 4, 5);
      } else if (vectors == 2) {
        if (!loaded) RIGHT(6, 0);
        PRODUCTS(0, 4, 6);
        if (!loaded) RIGHT(7, 1);
        PRODUCTS(1, 4, 7);
        if (tiles > 1) {
          LEFT(5, 1);
          PRODUCTS(2, 5, 6);
          PRODUCTS(3, 5, 7);
        }
      } else {
        if (!loaded) RIGHT(7, 0);
        PRODUCTS(0, 4, 7);
        if (tiles > 1) {
          LEFT(5, 1);
          PRODUCTS(1, 5, 7);
        }
        if (tiles > 2) {
          LEFT(6, 2);
          PRODUCTS(2, 6, 7);
        }
        if (tiles > 3) {
          LEFT(4, 3);
          PRODUCTS(3, 4, 7);
        }
      }
    }
  }
}

ERT_INLINE void store_sums(size_t tiles, int32_t *sums, const int vectors) {
  STORE(0, sums);
  if (vectors > 1 || tiles > 1) STORE(1, sums + TILE_WORDS);
  if (vectors > 2 || tiles > (vectors == 2 ? 1 : 2)) STORE(2, sums + 2 * TILE_WORDS);
  if (vectors > 2 || tiles > (vectors == 2 ? 1 : 3)) STORE(3, sums + 3 * TILE_WORDS);
}

/* Adds the products of what weights are beyond int8. */
static __attribute__((noinline)) void add_spills(const product *p, const waiting *done, size_t vectors) {
  for (uint32_t i = 0; i < done->spills->count; i++) {
    const ert_qgemm_spill *spill = &done->spills->list[i];
    const ptrdiff_t offset = p->args->tap_offset[spill->tap] + (ptrdiff_t)spill->at;
    int32_t *sums = done->sums + spill->lane / TILE * TILE_WORDS + spill->lane % TILE;
    for (size_t first = done->first; first < done->end; first += p->height, sums += vectors * TILE_WORDS) {
      const size_t begin = tile_begin(p, first);
      for (size_t r = 0; r < p->height; r++) {
        int32_t *sum = sums + r * TILE;
        *sum = (int32_t)((uint32_t)*sum + (uint32_t)(p->rows[begin + r][offset] * spill->rest));
      }
    }
  }
}

ERT_INLINE void round_tiles(const product *p, const waiting *done, const int vectors) {
  const ert_qgemm_args *args = p->args;
  const float *multipliers = (const float *)(const void *)(done->block + vectors * ROW);
  const __m512i zero = _mm512_set1_epi16((int16_t)args->out_zero);
  const uint64_t valid = ~UINT64_C(0) >> (64 - done->channels);
  __m512 multiplier[SUMS];
  ERT_UNROLL for (int v = 0; v < vectors; v++) {
    multiplier[v] = p->usual ? _mm512_load_ps(multipliers + v * TILE) : _mm512_set1_ps(1.0f);
  }
  if (done->spills->count != 0) add_spills(p, done, (size_t)vectors);
  const int32_t *bias_of_rows = done->spills->keeps_zero ? args->row_bias : NULL;
  int32_t *sums = done->sums;
  int8_t *out = done->out;
  for (size_t first = done->first; first < done->end; first += p->height, sums += vectors * TILE_WORDS) {
    const size_t rows = ert_min_size(p->height, done->end - first), repeated = first - tile_begin(p, first);
    int32_t *fresh = sums + repeated * TILE;
    const int32_t *row_bias = bias_of_rows != NULL ? bias_of_rows + first : NULL;
    if (!p->usual) finish_sums(args, fresh, row_bias, rows, multipliers, (size_t)vectors);
#define ROUND(raised, biased) \
  round_rows(fresh, raised, biased, row_bias, rows, multiplier, zero, valid, out, p->out_stride, vectors)
    if (!p->usual || (!done->raised && row_bias == NULL)) {
      ROUND(false, false);
    } else if (!done->raised) {
      ROUND(false, true);
    } else if (row_bias == NULL) {
      ROUND(true, false);
    } else {
      ROUND(true, true);
    }
#undef ROUND
    out += p->height * p->out_stride;
  }
}

typedef void (*round_fn)(const product *p, const waiting *done);

ERT_INLINE void run(const ert_qgemm_args *args, size_t m, const int8_t *const *rows, int8_t *out, size_t out_stride,
                    const int vectors, round_fn round) {
  _Alignas(64) int32_t sums[SUMS * TILE_WORDS], raised_biases[SUMS * TILE];
  _Alignas(64) int8_t panel[SUMS][TILE * ROW];
  const size_t nr = (size_t)vectors * TILE, most_tiles = SUMS / (size_t)vectors;
  const bool usual = !args->wide && args->out_min == INT8_MIN && args->out_max == INT8_MAX;
  product p = {args, ert_qgemm_steps_of(args->k, 4), m, height_of(m), rows, out_stride, usual, 0};
  if (usual && args->out_zero == INT8_MIN && args->taps * args->k <= MOST_RAISED_K)
    p.reach = (int32_t)(args->taps * args->k + ERT_QGEMM_SPILLS) * 128 * 128 * (args->row_bias != NULL ? 2 : 1);
  const size_t spills_at = nr * (8 + args->taps * p.steps.count * p.steps.k); /* a multiple of 64 */
  const size_t block_bytes = spills_at + ERT_QGEMM_SPILLS_BYTES;
  const size_t group = most_tiles * p.height;
  const size_t chunk = ert_max_size(LEFT_BYTES / (args->taps * args->k) / group, 1) * group;
  waiting done = {.sums = NULL};
  configure(&p, vectors == 4 ? 5 : vectors == 2 ? 6 : 7);
  for (size_t chunk_begin = 0; chunk_begin < m; chunk_begin += chunk) {
    const size_t chunk_end = ert_min_size(m, chunk_begin + chunk);
    const uint8_t *block = args->weights;
    for (size_t n = 0; n < args->n; n += nr, block += block_bytes) {
      const bool raised = p.reach != 0 && raise_biases(p.reach, block, (size_t)vectors, raised_biases);
      const uint8_t *bias = raised ? (const uint8_t *)raised_biases : block;
      for (size_t first = chunk_begin; first < chunk_end; first += group) {
        const size_t end = ert_min_size(chunk_end, first + group);
        left x[SUMS];
        size_t tiles = 0;
        for (size_t row = first; row < end; row += p.height) x[tiles++] = left_of(&p, row);
        const uint8_t *w = block + (size_t)vectors * 2 * ROW; /* behind biases and multipliers */
        load_first(&p, x, panel, w, vectors);
        if (done.sums != NULL) store_sums(done.tiles, sums, vectors);
        load_biases(bias, tiles, vectors);
        add_products(&p, x, panel, tiles, w, vectors);
        if (done.sums != NULL) round(&p, &done);
        done = (waiting){.sums = sums, .tiles = tiles, .block = block, .raised = raised,
                         .spills = (const ert_qgemm_spills *)(const void *)(block + spills_at), .first = first,
                         .end = end, .channels = ert_min_size(args->n - n, nr), .out = out + first * out_stride + n};
      }
    }
  }
  store_sums(done.tiles, sums, vectors);
  round(&p, &done);
  __asm__ volatile("tilerelease"); /* or every switch of threads would save the tiles */
}

/* Channel of each lane: packs work within quarters of a vector, and are not followed by more shuffles than it takes to
 * part rows. */
#define FOUR(c) c, c + 1, c + 2, c + 3
#define PAIR(c) FOUR(c), FOUR(c + 8), FOUR(c + 16), FOUR(c + 24)
#define QUAD(c) FOUR(c), FOUR(c + 16), FOUR(c + 32), FOUR(c + 48)
static const uint8_t LANES_OF_2[] = {PAIR(0), PAIR(4)};
static const uint8_t LANES_OF_4[] = {QUAD(0), QUAD(4), QUAD(8), QUAD(12)};

#define KERNEL(rows, vectors, channels, lanes, larger_left)                                                           \
  static __attribute__((noinline)) void round_##channels(const product *p, const waiting *done) {                     \
    round_tiles(p, done, vectors);                                                                                    \
  }                                                                                                                   \
  static void run_##channels(const ert_qgemm_args *args, size_t m, const int8_t *const *x, int8_t *out,               \
                             size_t out_stride) {                                                                     \
    run(args, m, x, out, out_stride, vectors, round_##channels);                                                      \
  }                                                                                                                   \
  const ert_qgemm_kernel ert_qgemm_amx_##rows##x##channels = {                                                        \
      .name = "qgemm_amx_" #rows "x" #channels, .isa = ERT_ISA_AMX, .mr = rows, .nr = channels, .least_m = LEAST_M,   \
      .least_k = LEAST_K, .most_k = larger_left, .pace = PACE, .many_rows = true, .kr = 4, .weight_bytes = 1,         \
      .tile_n = TILE, .zero_off = true, .lane_channel = lanes, .run = run_##channels};

KERNEL(64, 1, 16, NULL, 0)
KERNEL(32, 2, 32, LANES_OF_2, 0)
KERNEL(16, 4, 64, LANES_OF_4, MOST_K)
