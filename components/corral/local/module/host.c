// How hosts are reached, with which keys, and how each model fares there.

#include "corral.h"

static capacity capacity_of(const text limits[3], text host, text model) {
  i64 concurrent = number(limits[0]);
  return (capacity){
    .concurrent = concurrent < 1 ? -1 : concurrent,
    .active = concurrent < 1 ? 0 : named_level(T("active at"), host, model),
    .rates = { rate_of(limits[1], T("requests at"), host, model), rate_of(limits[2], T("tokens at"), host, model) },
  };
}

boolean add_host(plan *of, const text *f) {
  host *fresh = of_plan(of, sizeof *fresh);
  *fresh = (host){ .next = of->hosts, .name = f[1], .cluster = f[2], .authority = f[3], .path = f[4], .header = f[5] };
  of->hosts = fresh;
  fresh->capacity = capacity_of(f + 7, f[1], NO_TEXT);
  fresh->overflow.queue = queue_at(f[1]);
  fresh->mark = mark_of(f[1], 1);
  if (f[6].n) fresh->key = contents_of(f[6]);
  while (fresh->key.n && is_blank(fresh->key.p[fresh->key.n - 1])) fresh->key.n--;
  return !f[6].n || fresh->key.p;
}

void release_hosts(plan *of) {
  for (host *each = of->hosts; each; each = each->next) free((char *)each->key.p);
}

static standing *standings[SLOTS];

// Called on the main thread alone, as plans are read there.
static standing *standing_of(text model, const host *at) {
  buffer name = { 0, 0, 0 };
  add(&name, model);
  add(&name, T("\t"));
  add(&name, at->name);
  standing **slot = &standings[hash(all_of(&name)) % SLOTS], *of = *slot;
  while (of && !same(of->name, all_of(&name))) of = of->next;
  if (!of) {
    of = allocate(sizeof *of);
    *of = (standing){ .next = *slot, .name = copy_of(all_of(&name)) };
    *slot = of;
  }
  free(name.p);
  if (!same(of->cluster, at->cluster)) {
    free((char *)of->cluster.p);
    of->cluster = copy_of(at->cluster);
    set_to(&of->failures, 0);
    set_to(&of->ejections, 0);
    set_to(&of->ejected_until, 0);
    set_to(&of->throttled_until, 0);
  }
  return of;
}

host *find_host(const plan *of, text name) {
  for (host *each = of->hosts; each; each = each->next) {
    if (same(each->name, name)) return each;
  }
  return 0;
}

// False: there is no such host, or it has no weight.
boolean read_target(const plan *of, const model *model, const text *f, target *to) {
  const host *at = find_host(of, f[1]);
  i64 weight = number(f[2]), priority = number(f[3]);
  if (!at || weight < 1 || priority < 0 || f[4].n < 2) return 0;
  text id = f[5].n ? f[5] : part(f[4], 1, f[4].n - 1);
  capacity own = capacity_of(f + 6, at->name, model->name);
  *to = (target){ at, id, f[4], (u64)weight, priority, standing_of(model->name, at), own, { 0, 0, 0, 0, 0 } };
  return 1;
}

// False: likewise, or the order is wrong, or there are more than the model said.
boolean add_target(plan *of, model *to, const text *f) {
  target fresh;
  if (to->count == to->capacity || !read_target(of, to, f, &fresh)) return 0;
  if (to->count && to->targets[to->count - 1].priority > fresh.priority) return 0;
  to->targets[to->count++] = fresh;
  to->waits |= fresh.host->overflow.wait > 0;
  return 1;
}

static i64 newest; // plan, by its number

void number_targets(const plan *of) {
  add_to(&newest, 1);
  for (u32 slot = 0; slot < SLOTS; slot++) {
    for (const model *each = of->models[slot]; each; each = each->chain) {
      for (u32 i = 0; i < each->count; i++) set_to(&each->targets[i].standing->plan, newest);
    }
  }
}

boolean is_of_older_plan(const target *of) { return value_of(&of->standing->plan) < value_of(&newest); }
