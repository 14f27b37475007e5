// What is counted, for as long as the process lives: requests, tokens, attempts, times.  Whoever asks Envoy's admin
// interface gets it as it is at that moment, in the form of Envoy's own statistics.
//
// A series has the labels of its names as its name, such as `model.m.host.h.code.200`, and lies in a table that only grows.

#include "log.h"

enum { TABLE = 16384, DECADES = 7, BINS = 100 };

static const text METRICS[SERIES_KINDS][VALUES] = {
  [OF_REQUESTS] = { { "requests", 8 },
                    { "input_tokens", 12 },
                    { "output_tokens", 13 },
                    { "cached_tokens", 13 },
                    { "reasoning_tokens", 16 } },
  [OF_ATTEMPTS] = { { "attempts", 8 } },
  [OF_LIMITS] = { { "limited", 7 } },
  [OF_ACTIVE] = { { "active", 6 } },
  [OF_EJECTIONS] = { { "ejected_until", 13 } },
  [OF_WAITING] = { { "waiting", 7 } },
  [OF_TIMES] = { { "duration", 8 }, { "first_byte", 10 } },
};

// Of times there are bins instead of values: milliseconds to two digits, a hundred below 100, then ninety for each
// power of ten.  What lies there is the address of the bins of such a decade, or 0: none of its values has come.
struct series {
  i64 next, older; // in its slot, and of all
  text name; // owned
  u32 kind;
  size payer; // of the name, what tokens are counted by
  i64 values[VALUES], used;
  i64 bins[2][DECADES];
};

static i64 table[TABLE], newest;

static series *series_from(i64 address, u32 kind, text name) {
  for (series *each = (series *)address; each; each = (series *)each->next) {
    if (each->kind == kind && same(each->name, name)) return each;
  }
  return 0;
}

series *series_of(u32 kind, text name, size payer) {
  i64 *slot = &table[(hash(name) + kind) % TABLE], first = value_of(slot);
  series *of = series_from(first, kind, name);
  if (of) return of;
  series *fresh = allocate(sizeof *fresh);
  *fresh = (series){ .name = copy_of(name), .kind = kind, .payer = payer };
  do {
    of = series_from(first, kind, name); // another worker may have been faster
    if (of) {
      free((char *)fresh->name.p);
      free(fresh);
      return of;
    }
    fresh->next = first;
  } while (!swap(slot, &first, (i64)fresh));
  fresh->older = value_of(&newest);
  while (!swap(&newest, &fresh->older, (i64)fresh)) {
  }
  return fresh;
}

void count(series *of, u32 value, i64 by) {
  add_to(&of->values[value], by);
  if (!value_of(&of->used)) set_to(&of->used, 1);
}

void set_value(series *of, i64 to) {
  set_to(&of->values[0], to);
  set_to(&of->used, 1);
}

void count_time(series *of, u32 which, i64 milliseconds) {
  u32 decade = 0;
  i64 place = milliseconds < 0 ? 0 : milliseconds;
  while (place >= BINS && decade < DECADES - 1) {
    place /= 10;
    decade++;
  }
  if (place >= BINS) place = BINS - 1;
  i64 *slot = &of->bins[which][decade], address = value_of(slot);
  if (!address) {
    i64 *fresh = allocate(BINS * sizeof *fresh);
    if (swap(slot, &address, (i64)fresh)) {
      address = (i64)fresh;
    } else {
      free(fresh);
    }
  }
  add_to((i64 *)address + place, 1);
}

static void add_name(buffer *to, const series *of, u32 value, size length) {
  add(to, to->p[to->n - 1] == '[' ? T("{\"name\":\"corral.") : T(",{\"name\":\"corral."));
  add(to, METRICS[of->kind][value]);
  add(to, T("."));
  add(to, part(of->name, 0, length));
  add(to, T("\""));
}

static void add_values(buffer *to, series *of) {
  for (u32 value = 0; value < VALUES && METRICS[of->kind][value].n; value++) {
    i64 n = value_of(&of->values[value]);
    if (value && !n) continue;
    add_name(to, of, value, value ? of->payer : of->name.n);
    add(to, T(",\"value\":"));
    add_number(to, n);
    add(to, T("}"));
  }
}

static void add_bin(buffer *to, i64 lower, text width, i64 count) {
  add(to, to->p[to->n - 1] == '[' ? T("{\"lower_bound\":") : T(",{\"lower_bound\":"));
  add_number(to, lower);
  add(to, T(",\"width\":"));
  add(to, width);
  add(to, T(",\"count\":"));
  add_number(to, count);
  add(to, T("}"));
}

// The widths are those of Envoy's own bins: two digits from 0.1 on.
static void add_bins(buffer *to, series *of, u32 which) {
  static const text WIDTHS[DECADES] = { { "1", 1 },     { "10", 2 },     { "100", 3 },    { "1000", 4 },
                                        { "10000", 5 }, { "100000", 6 }, { "1000000", 7 } };
  i64 scale = 1;
  for (u32 decade = 0; decade < DECADES; decade++, scale *= 10) {
    i64 *bins = (i64 *)value_of(&of->bins[which][decade]);
    for (i64 place = 0; bins && place < BINS; place++) {
      i64 n = value_of(&bins[place]);
      text width = decade || place > 9 ? WIDTHS[decade] : place ? T("0.1") : T("0");
      if (n) add_bin(to, place * scale, width, n);
    }
  }
}

static void add_times(buffer *to, series *of) {
  for (u32 which = 0; which < 2; which++) {
    add_name(to, of, which, of->name.n);
    add(to, T(",\"totals\":["));
    add_bins(to, of, which);
    add(to, T("]}"));
  }
}

void add_series(buffer *to, boolean times) {
  for (series *each = (series *)value_of(&newest); each; each = (series *)each->older) {
    if ((each->kind == OF_TIMES) != times) continue;
    if (times) {
      add_times(to, each);
    } else if (value_of(&each->used)) {
      add_values(to, each);
    }
  }
}
