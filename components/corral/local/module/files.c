// Files: read whole, mapped so that what is written there is there when the process has died, or written at their end.

#include "corral.h"

enum {
  LONGEST_FILE = 1 << 26,
  LONGEST_PATH = 1024,
  READ_ONLY = 0,
  READ_WRITE = 2,
  FROM_HERE = 1,  // lseek
  FROM_END = 2,
  PROTECTION = 3, // mmap: read and write
  SHARED = 1,     // mmap
};

// What it makes is this user's alone.
static int opened(text path, int how, char name[LONGEST_PATH]) {
  if (path.n >= LONGEST_PATH) return -1;
  if (path.n) memcpy(name, path.p, path.n);
  name[path.n] = 0;
  return open(name, how, 0600);
}

text contents_of(text path) {
  buffer contents = { 0, 0, 0 };
  char name[LONGEST_PATH], piece[16384];
  int file = opened(path, READ_ONLY, name);
  if (file < 0) return NO_TEXT;
  for (i64 n; (n = read(file, piece, sizeof piece)) > 0 && contents.n < LONGEST_FILE;) {
    add(&contents, (text){ piece, (size)n });
  }
  close(file);
  return all_of(&contents);
}

void *mapped_file(text path, size least, size *n) {
  char name[LONGEST_PATH];
  int file = opened(path, READ_WRITE, name);
  if (file < 0) return 0;
  i64 length = lseek(file, 0, FROM_END);
  void *at = length < (i64)least ? (void *)-1 : mmap(0, (size)length, PROTECTION, SHARED, file, 0);
  close(file);
  *n = (size)length;
  return at == (void *)-1 ? 0 : at;
}

void append_to(text path, text line, i64 largest) {
  char name[LONGEST_PATH], older[LONGEST_PATH + 8];
  int file = path.n ? opened(path, OPEN_TO_APPEND, name) : -1;
  if (file < 0) return; // a disk that is full, or a folder that is gone: no request is to suffer
  if (write(file, line.p, line.n) > 0 && lseek(file, 0, FROM_HERE) > largest) {
    snprintf(older, sizeof older, "%s.older", name);
    rename(name, older);
  }
  close(file);
}
