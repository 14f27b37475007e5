#include "corral.h"

int clock_gettime(int, i64 *);

i64 now(void) {
  i64 at[2] = { 0, 0 }; // seconds and nanoseconds
  clock_gettime(0, at);
  return at[0] * 1000000 + at[1] / 1000;
}
