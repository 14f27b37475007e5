// What is counted, and what is written of a request.

#ifndef CORRAL_LOG_H
#define CORRAL_LOG_H

#include "corral.h"

// ---- series

enum { OF_REQUESTS, OF_ATTEMPTS, OF_LIMITS, OF_ACTIVE, OF_EJECTIONS, OF_WAITING, OF_TIMES, SERIES_KINDS };
enum { REQUESTS_SERVED, INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, REASONING_TOKENS, VALUES };
enum { DURATION, FIRST_BYTE };

typedef struct series series; // it lives as long as the process

series *series_of(u32 kind, text name, size payer); // payer: how much of its name tokens have
void count(series *of, u32 value, i64 by);
void set_value(series *of, i64 to); // of a gauge
void count_time(series *of, u32 which, i64 milliseconds);
void add_series(buffer *to, boolean times); // as members of a list in JSON: those of times, or the others

// ---- log

// What a worker's lines are written with.
typedef struct {
  buffer line, name, date;
  i64 second; // that `date` is of
} logger;

void write_log_to(text path);
void log_request(logger *to, void *self, const request *r); // r is 0: the gateway's filter has not seen it
void write_log(void);                                       // what waits to be written
void release_logger(logger *of);

#endif
