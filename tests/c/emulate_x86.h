/* Runs instructions that this processor lacks: AMX (tiles and int8 products) and AVX-VNNI.
 *
 * A processor without an instruction raises SIGILL at it. The handler here decodes it, does what the manual says with a
 * state of its own (tiles) or with the registers in the signal's frame (vectors), and goes on behind it: the very machine
 * code of a kernel runs, at about a microsecond an instruction. What the manual answers with a fault (#UD, #GP) fails
 * the test. Memory is read and written by memcpy, byte for byte what the instruction touches, so that AddressSanitizer,
 * which cannot see into assembly, sees it here.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, vol. 2 (instructions and exception classes AMX-E1
 * to AMX-E6), vol. 1, 13.4 (layout of the XSAVE area).
 */
#ifndef ERT_TESTS_EMULATE_X86_H
#define ERT_TESTS_EMULATE_X86_H

#include "check.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <ucontext.h>

enum { EMULATE_TILES = 8, EMULATE_ROWS = 16, EMULATE_ROW_BYTES = 64, EMULATE_STATUS = 3 };

typedef struct emulate_tile {
  uint8_t rows, colsb; /* as configured; both 0: not */
  uint8_t data[EMULATE_ROWS][EMULATE_ROW_BYTES];
} emulate_tile;

static _Thread_local struct {
  bool configured;
  uint8_t config[64];
  emulate_tile tile[EMULATE_TILES];
} emulate_state;

static uint64_t emulate_count; /* instructions so far, of all threads */

/* A fault: the test names what was wrong and ends with a status of its own. */
static void emulate_fault(const char *what) {
  fprintf(stderr, "FAILED %s: emulated instruction faults: %s\n", check_context, what);
  _exit(EMULATE_STATUS);
}

/* --- decoding: VEX with three bytes, map 0F38 (vol. 2, 2.3) --- */

typedef struct emulate_instruction {
  uint8_t prefix; /* pp: 0 none, 1 66, 2 F3, 3 F2 */
  bool w, l;
  uint8_t opcode, vvvv, reg, rm; /* registers in full */
  bool memory;
  bool has_sib;
  uintptr_t base;  /* without the index; with it where an instruction adds it once */
  int64_t index;   /* scaled; 0 without one */
  size_t length;
} emulate_instruction;

static int64_t emulate_register(const ucontext_t *c, unsigned number) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return c->uc_mcontext.gregs[order[number]];
}

static int32_t emulate_i32(const uint8_t *p) {
  int32_t value;
  memcpy(&value, p, sizeof value);
  return value;
}

static bool emulate_decode(const ucontext_t *c, emulate_instruction *in) {
  const uint8_t *begin = (const uint8_t *)(uintptr_t)c->uc_mcontext.gregs[REG_RIP], *p = begin;
  if (p[0] != 0xc4 || (p[1] & 31) != 2) return false;
  const unsigned r = !(p[1] & 0x80), x = !(p[1] & 0x40), b = !(p[1] & 0x20);
  *in = (emulate_instruction){.prefix = p[2] & 3, .l = p[2] & 4, .vvvv = ~(p[2] >> 3) & 15, .w = p[2] & 0x80, .opcode = p[3]};
  const unsigned mod = p[4] >> 6, low = p[4] & 7;
  in->reg = (uint8_t)((p[4] >> 3 & 7) | r << 3);
  in->rm = (uint8_t)(low | b << 3);
  in->memory = mod != 3;
  p += 5;
  if (in->memory) {
    int64_t base = 0;
    bool disp32 = mod == 2, rip = false;
    in->has_sib = low == 4;
    if (in->has_sib) {
      const unsigned scale = *p >> 6, index = (*p >> 3 & 7) | x << 3, sib_base = *p & 7;
      p++;
      if (index != 4) in->index = (int64_t)((uint64_t)emulate_register(c, index) << scale);
      if (sib_base == 5 && mod == 0) {
        disp32 = true;
      } else {
        base = emulate_register(c, sib_base | b << 3);
      }
    } else if (low == 5 && mod == 0) {
      disp32 = rip = true;
    } else {
      base = emulate_register(c, in->rm);
    }
    if (disp32) {
      base += emulate_i32(p);
      p += 4;
    } else if (mod == 1) {
      base += (int8_t)*p++;
    }
    in->base = (uintptr_t)base + (rip ? (uintptr_t)p : 0);
  }
  in->length = (size_t)(p - begin);
  return true;
}

/* --- AMX --- */

static void emulate_load_config(const uint8_t *from) {
  uint8_t config[64];
  memcpy(config, from, sizeof config);
  if (config[0] > 1) emulate_fault("LDTILECFG: #GP, a palette above 1");
  memset(&emulate_state, 0, sizeof emulate_state);
  if (config[0] == 0) return;
  for (int i = 2; i < 16; i++)
    if (config[i] != 0) emulate_fault("LDTILECFG: #GP, reserved bytes are not 0");
  for (int t = 0; t < EMULATE_TILES; t++) {
    const unsigned colsb = config[16 + 2 * t] | (unsigned)config[17 + 2 * t] << 8, rows = config[48 + t];
    if (colsb > EMULATE_ROW_BYTES || rows > EMULATE_ROWS) emulate_fault("LDTILECFG: #GP, a tile is too large");
    if ((colsb == 0) != (rows == 0)) emulate_fault("LDTILECFG: #GP, a tile has rows or columns alone");
    emulate_state.tile[t].colsb = (uint8_t)colsb;
    emulate_state.tile[t].rows = (uint8_t)rows;
  }
  for (int i = 0; i < 16; i++)
    if (config[32 + i] != 0) emulate_fault("LDTILECFG: #GP, columns of tiles that the palette lacks");
  for (int i = 0; i < 8; i++)
    if (config[56 + i] != 0) emulate_fault("LDTILECFG: #GP, rows of tiles that the palette lacks");
  memcpy(emulate_state.config, config, sizeof config);
  emulate_state.configured = true;
}

static emulate_tile *emulate_tile_of(unsigned number) {
  if (!emulate_state.configured) emulate_fault("#UD, tiles are not configured");
  if (number >= EMULATE_TILES) emulate_fault("#UD, a tile beyond the eighth");
  if (emulate_state.tile[number].rows == 0) emulate_fault("#UD, the tile has no rows");
  return &emulate_state.tile[number];
}

/* TILELOADD, TILELOADDT1, TILESTORED: rows at base + i * index, from start_row on. */
static void emulate_move_tile(const emulate_instruction *in, bool store) {
  if (!in->has_sib) emulate_fault("#UD, a tile is moved without SIB byte");
  emulate_tile *tile = emulate_tile_of(in->reg);
  unsigned row = emulate_state.config[1];
  if (!store) memset(tile->data[row], 0, sizeof tile->data[0] * (EMULATE_ROWS - row));
  for (; row < tile->rows; row++) {
    uint8_t *memory = (uint8_t *)(in->base + (uintptr_t)in->index * row);
    if (store) {
      memcpy(memory, tile->data[row], tile->colsb);
    } else {
      memcpy(tile->data[row], memory, tile->colsb);
    }
  }
  emulate_state.config[1] = 0;
}

/* TDPB[SU][SU]D: sums[m][n] += products of the four bytes a[m][k] with those of b[k][n]. */
static void emulate_products(unsigned sums_number, unsigned a_number, unsigned b_number, bool a_signed, bool b_signed) {
  emulate_tile *sums = emulate_tile_of(sums_number);
  const emulate_tile *a = emulate_tile_of(a_number), *b = emulate_tile_of(b_number);
  if (sums == a || a == b || sums == b) emulate_fault("#UD, a tile is named twice");
  if (sums->colsb % 4 != 0 || a->colsb % 4 != 0 || b->colsb % 4 != 0) emulate_fault("#UD, columns of a part of 4 bytes");
  if (sums->rows != a->rows) emulate_fault("#UD, sums and left side differ in rows");
  if (a->colsb / 4 != b->rows) emulate_fault("#UD, the left side's columns are not the right side's rows");
  if (sums->colsb != b->colsb) emulate_fault("#UD, sums and right side differ in columns");
  for (unsigned m = 0; m < sums->rows; m++) {
    for (unsigned n = 0; n < sums->colsb / 4u; n++) {
      uint32_t sum;
      memcpy(&sum, &sums->data[m][4 * n], 4);
      for (unsigned i = 0; i < a->colsb; i++) {
        const uint8_t x = a->data[m][i], y = b->data[i / 4][4 * n + i % 4];
        sum += (uint32_t)((a_signed ? (int8_t)x : x) * (b_signed ? (int8_t)y : y));
      }
      memcpy(&sums->data[m][4 * n], &sum, 4);
    }
    memset(&sums->data[m][sums->colsb], 0, EMULATE_ROW_BYTES - sums->colsb);
  }
  memset(sums->data[sums->rows], 0, sizeof sums->data[0] * (EMULATE_ROWS - sums->rows));
}

static bool emulate_amx(const emulate_instruction *in) {
  if (in->w || in->l) return false;
  if (in->opcode == 0x5e) { /* prefix: 0 unsigned unsigned, 1 unsigned signed, 2 signed unsigned, 3 signed signed */
    if (in->memory) return false;
    emulate_products(in->reg, in->rm, in->vvvv, in->prefix & 2, in->prefix & 1);
    return true;
  }
  if (in->vvvv != 0) return false;
  if (in->opcode == 0x4b && in->memory && in->prefix != 0) {
    emulate_move_tile(in, in->prefix == 2);
    return true;
  }
  if (in->opcode != 0x49) return false;
  uint8_t *memory = (uint8_t *)(in->base + (uintptr_t)in->index);
  if (in->memory && in->reg == 0 && in->prefix == 0) {
    emulate_load_config(memory);
  } else if (in->memory && in->reg == 0 && in->prefix == 1) {
    memcpy(memory, emulate_state.config, sizeof emulate_state.config); /* zeros where nothing is configured */
  } else if (!in->memory && in->rm == 0 && in->prefix == 3) {
    memset(emulate_tile_of(in->reg)->data, 0, sizeof emulate_state.tile[0].data);
  } else if (!in->memory && in->rm == 0 && in->reg == 0 && in->prefix == 0) {
    memset(&emulate_state, 0, sizeof emulate_state);
  } else {
    return false;
  }
  return true;
}

/* --- AVX-VNNI: vector registers lie in the frame's XSAVE area --- */

typedef struct emulate_vectors {
  uint8_t *low;       /* XMM: 16 bytes each */
  uint8_t *high;      /* upper halves of YMM */
  uint8_t *highest;   /* upper halves of ZMM 0 to 15, or NULL */
  uint64_t *in_use;   /* XSTATE_BV: a component whose bit is 0 is all zeros, whatever its bytes */
} emulate_vectors;

enum { XSTATE_SSE = 2, XSTATE_YMM = 4 };

/* Components of the area that hold halves of registers. Asked for once: virtual machines take their time to answer. */
typedef struct emulate_component {
  unsigned number;
  uint32_t bytes, offset; /* offset 0: not there */
} emulate_component;
static emulate_component emulate_ymm = {2, 256, 0}, emulate_zmm = {6, 512, 0};

static void emulate_find_component(emulate_component *component) {
  uint32_t size, offset, c, d;
  __cpuid_count(0xd, component->number, size, offset, c, d);
  if (size >= component->bytes) component->offset = offset;
}

static uint8_t *emulate_place(const emulate_component *component, uint8_t *area, uint64_t in_use) {
  if (component->offset == 0) return NULL;
  uint8_t *place = area + component->offset;
  if (!(in_use >> component->number & 1)) memset(place, 0, component->bytes);
  return place;
}

static emulate_vectors emulate_find_vectors(ucontext_t *c) {
  uint8_t *area = (uint8_t *)c->uc_mcontext.fpregs;
  if (emulate_i32(area + 464) != 0x46505853) emulate_fault("the frame has no XSAVE area"); /* FP_XSTATE_MAGIC1 */
  emulate_vectors v = {.low = area + 160, .in_use = (uint64_t *)(void *)(area + 512)};
  if (!(*v.in_use & XSTATE_SSE)) memset(v.low, 0, 256);
  v.high = emulate_place(&emulate_ymm, area, *v.in_use);
  v.highest = emulate_place(&emulate_zmm, area, *v.in_use);
  if (v.high == NULL) emulate_fault("the frame has no YMM registers");
  *v.in_use |= XSTATE_SSE | XSTATE_YMM;
  return v;
}

/* VPDPBUSD (opcode 50): unsigned bytes of vvvv by signed bytes of rm; VPDPWSSD (52): signed words. */
static bool emulate_dot_products(ucontext_t *c, const emulate_instruction *in) {
  if ((in->opcode != 0x50 && in->opcode != 0x52) || in->prefix != 1 || in->w) return false;
  const size_t bytes = in->l ? 32 : 16;
  const emulate_vectors v = emulate_find_vectors(c);
  uint8_t sums[32], x[32], y[32];
  memcpy(sums, v.low + 16 * in->reg, 16);
  memcpy(sums + 16, v.high + 16 * in->reg, 16);
  memcpy(x, v.low + 16 * in->vvvv, 16);
  memcpy(x + 16, v.high + 16 * in->vvvv, 16);
  if (in->memory) {
    memcpy(y, (const void *)(in->base + (uintptr_t)in->index), bytes);
  } else {
    memcpy(y, v.low + 16 * in->rm, 16);
    memcpy(y + 16, v.high + 16 * in->rm, 16);
  }
  for (size_t lane = 0; lane < bytes; lane += 4) {
    uint32_t sum;
    memcpy(&sum, sums + lane, 4);
    for (size_t i = lane; i < lane + 4; i += in->opcode == 0x50 ? 1 : 2) {
      int16_t words[2];
      memcpy(&words[0], x + i / 2 * 2, 2);
      memcpy(&words[1], y + i / 2 * 2, 2);
      sum += (uint32_t)(in->opcode == 0x50 ? x[i] * (int8_t)y[i] : words[0] * words[1]);
    }
    memcpy(sums + lane, &sum, 4);
  }
  if (bytes == 16) memset(sums + 16, 0, 16);
  memcpy(v.low + 16 * in->reg, sums, 16);
  memcpy(v.high + 16 * in->reg, sums + 16, 16);
  if (v.highest != NULL) memset(v.highest + 32 * in->reg, 0, 32);
  return true;
}

/* --- the handler --- */

static void emulate_on_sigill(int number, siginfo_t *info, void *context) {
  (void)info;
  ucontext_t *c = context;
  emulate_instruction in;
  if (!emulate_decode(c, &in) || (!emulate_amx(&in) && !emulate_dot_products(c, &in))) check_on_signal(number);
  c->uc_mcontext.gregs[REG_RIP] += (long long)in.length;
  __atomic_fetch_add(&emulate_count, 1, __ATOMIC_RELAXED);
}

/* From here on the program has AMX and AVX-VNNI, its own or emulated ones. The handler runs on the stack of the thread,
 * with the state of AVX in its frame. */
static inline void emulate_start(void) {
  struct sigaction action = {.sa_sigaction = emulate_on_sigill, .sa_flags = SA_SIGINFO};
  emulate_find_component(&emulate_ymm);
  emulate_find_component(&emulate_zmm);
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGILL, &action, NULL) != 0) check_fail("no handler for SIGILL");
}

#endif
#endif
