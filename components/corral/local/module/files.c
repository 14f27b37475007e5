// Files: read whole, or mapped so that what is written there is there when the process has died.

#include "corral.h"

enum {
  LONGEST_KEY_FILE = 65536,
  LONGEST_PATH = 1024,
  READ_ONLY = 0,
  READ_WRITE = 2,
  FROM_END = 2,   // lseek
  PROTECTION = 3, // mmap: read and write
  SHARED = 1,     // mmap
};

static int opened(text path, int how) {
  char name[LONGEST_PATH];
  if (path.n >= sizeof name) return -1;
  if (path.n) memcpy(name, path.p, path.n);
  name[path.n] = 0;
  return open(name, how);
}

text contents_of(text path) {
  buffer contents = { 0, 0, 0 };
  char piece[4096];
  int file = opened(path, READ_ONLY);
  if (file < 0) return NO_TEXT;
  for (i64 n; (n = read(file, piece, sizeof piece)) > 0 && contents.n < LONGEST_KEY_FILE;) {
    add(&contents, (text){ piece, (size)n });
  }
  close(file);
  while (contents.n && is_blank(contents.p[contents.n - 1])) contents.n--;
  return all_of(&contents);
}

void *mapped_file(text path, size least, size *n) {
  int file = opened(path, READ_WRITE);
  if (file < 0) return 0;
  i64 length = lseek(file, 0, FROM_END);
  void *at = length < (i64)least ? (void *)-1 : mmap(0, (size)length, PROTECTION, SHARED, file, 0);
  close(file);
  *n = (size)length;
  return at == (void *)-1 ? 0 : at;
}
