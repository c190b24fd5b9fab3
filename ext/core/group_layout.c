/* How a chain of operators works as a group: shares, bands, and where the values between its members lie. */
#include "core/internal.h"

/* Elements that pay for waking a thread, where no operator has shares of its own; and bytes of a band that stay in the
 * first cache beside another operand. Larger bands mean fewer calls. */
enum { ELEMENTS_SHARE = 32768, BAND_BYTES = 12 << 10 };

static size_t pixels_of(const ert_tensor *t) { return t->elements / (size_t)t->dims[t->rank - 1]; }

/* What an operator counts its bands in, of its whole output. */
static size_t band_units(const ert_op *op) {
  const ert_tensor *y = op->out[0];
  switch (op->bands.kind) {
    case ERT_BAND_ELEMENTS: return y->elements;
    case ERT_BAND_ROWS: return (size_t)y->dims[0] * op->bands.window.out_h;
    default: return pixels_of(y);
  }
}

static bool take(ert_group *group, size_t units, ert_place *place) {
  size_t bytes;
  place->offset = group->task_bytes;
  return ert_mul(units, place->unit_bytes, &bytes) && bytes <= PTRDIFF_MAX / 4 &&
         ert_add(group->task_bytes, ert_round_up(bytes, ERT_ALIGN), &group->task_bytes) &&
         group->task_bytes <= PTRDIFF_MAX / 4;
}

/* From the last member, which writes its tensor, backwards: whom an operator follows in place writes where it does. */
static bool set_outputs(ert_group *group, size_t head_units) {
  for (uint32_t i = group->count; i-- > 0;) {
    ert_group_member *m = &group->members[i], *next = m + 1;
    const ert_tensor *y = m->op->out[0];
    const bool last = i + 1 == group->count, ring = i + 1 == group->head;
    const size_t units = i < group->head ? head_units : group->units;
    m->per_unit = band_units(m->op) / units;
    if (!last && next->op->bands.kind == ERT_BAND_ELEMENTS) {
      m->y = next->y;
      continue;
    }
    m->y = (ert_place){last ? ERT_PLACE_TENSOR : ring ? ERT_PLACE_RING : ERT_PLACE_BAND, y, 0,
                       ring ? group->ring_slots : units, y->bytes / units};
    if (!last && !take(group, ring ? group->ring_slots : ert_min_size(group->chunk, group->units), &m->y)) return false;
  }
  return true;
}

static void set_inputs(ert_group *group, size_t head_units) {
  const ert_tensor *x = group->members[0].op->in[0];
  const ert_bands *bands = &group->members[0].op->bands;
  size_t units = group->head != 0 ? head_units : group->units;
  if (bands->kind == ERT_BAND_ROWS) units = (size_t)x->dims[0] * bands->window.in_h;
  const bool read = bands->kind == ERT_BAND_ROWS || bands->kind == ERT_BAND_PIXELS;
  group->members[0].x = (ert_place){ERT_PLACE_TENSOR, x, 0, units, read ? x->bytes / units : 0};
  for (uint32_t i = 1; i < group->count; i++) group->members[i].x = group->members[i - 1].y;
}

bool ert_group_lay_out(ert_prepare *p, const ert_chain *c, size_t band_pixels, ert_group *group) {
  ert_op *ops = &p->binding->ops[c->first];
  *group = (ert_group){.first = c->first, .count = c->count, .pool = p->session->pool, .tasks = SIZE_MAX,
                       .members = group->members};
  for (uint32_t i = 0; i < c->count; i++) {
    group->members[i] = (ert_group_member){.op = &ops[i], .operand = c->operand[i]};
    group->tasks = ert_min_size(group->tasks, ops[i].bands.tasks);
  }
  const ert_bands *lead = &ops[0].bands;
  size_t head_units = 0;
  if (c->window != UINT32_MAX) {
    const ert_tensor *x = ops[c->window].in[0], *y = ops[c->window].out[0];
    const ert_band_window *w = &ops[c->window].bands.window;
    const size_t unit = ops[c->window].bands.unit;
    group->window = *w;
    group->head = c->window;
    group->units = band_units(&ops[c->window]);
    head_units = (size_t)x->dims[0] * w->in_h;
    const size_t x_width = pixels_of(x) / head_units, y_width = pixels_of(y) / group->units;
    if (band_pixels == 0) band_pixels = BAND_BYTES / (y->bytes / pixels_of(y));
    group->unit = unit;
    group->chunk = ert_max_size(1, ert_min_size(band_pixels / y_width, w->out_h) / unit) * unit;
    group->ring_slots = ert_min_size((group->chunk - 1) * w->stride + w->span, w->in_h);
    group->head_chunk = ert_max_size(1, lead->chunk / x_width);
  } else {
    const bool elements = lead->kind == ERT_BAND_ELEMENTS;
    group->units = band_units(&ops[0]);
    group->unit = lead->unit;
    const size_t chunk = elements ? 64 : lead->chunk, units = BAND_BYTES / (ops[0].out[0]->bytes / group->units);
    group->chunk = ert_max_size(1, units / chunk) * chunk;
    if (elements)
      group->tasks = ert_min_size((size_t)ert_prepare_threads(p), (group->units + ELEMENTS_SHARE - 1) / ELEMENTS_SHARE);
  }
  group->tasks = ert_min_size(group->tasks, group->units);
  if (!set_outputs(group, head_units)) return false;
  set_inputs(group, head_units);
  return true;
}
