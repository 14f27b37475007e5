// What a tenant's requests may cost: of corral.h.  Money is in millionths of a micro-dollar.

#ifndef CORRAL_BUDGET_H
#define CORRAL_BUDGET_H

enum { DAY, MONTH, SPANS };

// A day or a month, as a file has it: which one it is, and what was used in it.
typedef struct {
  i64 number, used;
} span;

// Of one tenant.
typedef struct {
  span *spans;       // by DAY and MONTH
  level *lock;       // of them, among the workers
  i64 limits[SPANS]; // -1: none
  boolean allows;    // it counts, and refuses nothing
} budget;

// What a token of a model costs at a host, and tokens: of the longest prompt and of the longest answer.
typedef struct {
  i64 input, output, cached, context, answer;
} price;

// The tokens that a request could come to.
typedef struct {
  i64 prompt, texts, answer, answers; // of all prompts, and their number; of one answer, and their number
} bound;

// Money that a request has taken of what is left.
typedef struct {
  i64 amount, numbers[SPANS]; // in which day, and which month
} held;

struct plan;
struct tenant;
struct target;
struct request;

boolean map_budgets(text path); // false: the file cannot be used
boolean add_budget(struct plan *of, struct tenant *to, const text *fields);
boolean add_price(struct target *to, const text *fields);
boolean reserve(struct request *r, void *filter, text body, const member *members); // false: it was refused
void settle(struct request *r, void *filter);
boolean hold_money(const budget *of, i64 amount, i64 at, held *to, u32 *full, i64 *left);
void settle_money(const budget *of, const held *was, i64 cost);

#endif
