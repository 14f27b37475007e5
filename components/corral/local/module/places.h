// What a host takes at once and a minute, and requests that wait until it takes one more: of corral.h.

#ifndef CORRAL_PLACES_H
#define CORRAL_PLACES_H

// What may be under way at a host at once, and what it takes a minute.
typedef struct {
  i64 concurrent; // -1: as many as come
  level *active;
  rate rates[RATES];
} capacity;

struct plan;
struct host;
struct target;
struct request;

// Of a host that is full, those that wait for it.  It lives as long as the process, by the host's name.
typedef struct queue queue;

typedef struct {
  queue *queue; // 0: nobody has ever waited there
  i64 wait;     // microseconds for which a request waits at most; 0: it goes on
} overflow;

// A request's wait, which its request owns.
typedef struct waiter {
  struct waiter *next;
  struct request *request;
  const struct target *target;
  void *scheduler;           // Envoy's, by which its thread is called; 0: it is over
  i64 since, until, waited; // microseconds; the last is -1 while it waits
} waiter;

boolean add_overflow(struct plan *of, const text *fields);
queue *queue_at(text host); // 0: there is none

boolean is_left_out(const struct target *of, i64 at);
boolean has_place(const struct target *of, i64 at);
boolean take_place(struct request *r, const struct target *of, boolean even_if_full); // false: it has none
void leave_place(struct request *r);

enum { PLACE_TAKEN, PLACE_AWAITED, NO_PLACE };
int take_or_await(struct request *r, const struct target *of, void *filter);
boolean is_waiting(const struct request *r); // or its thread has not seen yet that it does no more
void stop_waiting(struct request *r);

void prepare_queues(void *config); // those that follow are called on the main thread alone
void watch_queues(void);
boolean serve_queues(void *timer); // false: it is not the timer of queues

#endif
