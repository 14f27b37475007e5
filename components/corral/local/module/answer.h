// What is read of an answer, and of what it used.

#ifndef CORRAL_ANSWER_H
#define CORRAL_ANSWER_H

// ---- usage

typedef struct {
  i64 input, output, cached, reasoning; // -1: not said, but for the output
} usage;

// What is quoted in events, found in one pass over them.
typedef struct {
  boolean usage, error, failed, completed, finishes; // such a name is there; of the last: and its value is a text
  i64 pieces;                                        // that say something
  u32 models;                                        // how often `"model"` is there
  size model;                                        // where it is first
} marks;

boolean find_usage(text t, usage *to);
boolean only_usage(text event);
marks marks_of(text events);
boolean tells_failure(text events, const marks *of);
boolean tells_end(text events, const marks *of, boolean of_messages);
boolean find_messages_usage(text events, usage *to);
boolean find_spelling(text t, size *from, size *to); // of the model's name, key and all
size event_end(text t, size from);                   // where the next event begins; 0: this one has not ended

// ---- answer

typedef struct answer {
  usage used;
  i64 drawn, length; // what was drawn of limits; bytes of an answer that is whole
  boolean streams, by_host, noted, failed, ended, renames;
  text failure;
  buffer tail;
  buffer spelling, ours; // how the host writes the model's name, and how it is written here
} answer;

int answer_headers(request *r, void *filter, boolean ended);
int answer_body(request *r, void *filter, boolean ended);
void release_answer(answer *of);

#endif
