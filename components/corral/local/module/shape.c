// What shape the last requests have: their path, their model, how long they are; nothing of their text.  It stands in a file
// that is mapped, where it is found when Envoy has died while it had them.

#include "corral.h"

enum { SHAPES = 64, LONGEST_SHOWN = 96 };

// As `corral.local.envoy_process` reads it.
typedef struct {
  i64 began; // microseconds since 1970; 0: it is over
  i64 length, stream;
  char path[LONGEST_SHOWN], model[LONGEST_SHOWN];
} shape;

static shape *shapes;
static i64 turns;

void map_shapes(text path) {
  size n = 0;
  if (path.n && !shapes) shapes = mapped_file(path, SHAPES * sizeof *shapes, &n);
}

static void show(char to[LONGEST_SHOWN], text t) {
  size n = t.n < LONGEST_SHOWN ? t.n : LONGEST_SHOWN;
  memset(to, 0, LONGEST_SHOWN);
  if (n) memcpy(to, t.p, n);
}

void show_shape(request *r) {
  if (!shapes) return;
  r->shown = (u32)(add_to(&turns, 1) % SHAPES) + 1;
  shape *at = &shapes[r->shown - 1];
  at->length = (i64)r->length;
  at->stream = r->stream;
  show(at->path, (text){ r->path, r->path_size });
  show(at->model, r->model->name);
  set_to(&at->began, r->began);
}

void hide_shape(const request *r) {
  if (r->shown && shapes[r->shown - 1].began == r->began) set_to(&shapes[r->shown - 1].began, 0);
}
