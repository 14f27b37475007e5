// A copy of some of a model's requests, for a candidate.

#ifndef CORRAL_MIRROR_H
#define CORRAL_MIRROR_H

typedef struct mirror {
  target target;   // its weight is the percent of requests that are copied
  level *turns;    // how often that was drawn
  level *active;   // copies under way
  residency *none; // of tenants whose requests it may not have
  text file;       // what became of the copies, and of the requests they are of
} mirror;

struct request;
struct attempt;

boolean add_mirror(plan *of, model *to, const text *f);
void copy_request(struct request *r, void *filter, text body, const member *members);
struct request *taken_copy(void *filter); // whose attempt this is; 0: it is that of no copy
void withdraw_copy(struct request *r);    // its attempt has not begun, and will not
void end_copy(struct request *of);
void compare_whole(struct request *r, text body); // of a chat's answer, what its text is not needed for
void record_served(const struct request *r);
int copy_answer(struct attempt *of, void *filter, text kind, boolean ended);
int copy_answer_body(struct attempt *of, void *filter, boolean ended);
void end_copy_attempt(struct attempt *of);

#endif
