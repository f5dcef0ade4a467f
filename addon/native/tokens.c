/* Reads the token vectors of some memories out of their files, with one system call for what follows each other. */
#define _POSIX_C_SOURCE 200809L

#include "kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

enum { ELSEWHERE = -1, FAILED = -1 };

/* A file as `TokenFile` of npu_memory_server/store/token_file.py has it. */
struct token_file {
  const uint32_t *bounds; /* [slots of a file + 1], ascending: where the vectors of each begin, and the last one's end */
  const uint8_t *is_here; /* [slots of a file] */
  int64_t at;             /* where vectors begin in the file, in bytes */
  int64_t descriptor;     /* -1 if there is no such file */
};

struct token_files {
  const struct token_file *files; /* [count], by number */
  int64_t count;
  int64_t slots;                  /* of each file */
  int64_t reduced;                /* bytes of a vector */
};

/* Notes for each slot how many bytes its vectors have; ELSEWHERE for one that is in no file. Returns their sum. */
static int64_t find_sizes(const struct token_files *all, const int64_t *slots, int64_t asked, int64_t *sizes) {
  int64_t sum = 0;
  for (int64_t one = 0; one < asked; one++) {
    int64_t number = slots[one] / all->slots, place = slots[one] % all->slots;
    const struct token_file *file = slots[one] >= 0 && number < all->count ? &all->files[number] : NULL;
    bool known = file && file->descriptor >= 0 && file->is_here[place];
    sizes[one] = known ? (int64_t)(file->bounds[place + 1] - file->bounds[place]) * all->reduced : ELSEWHERE;
    sum += known ? sizes[one] : 0;
  }
  return sum;
}

static bool read_all(int64_t descriptor, char *room, int64_t size, int64_t from) {
  while (size > 0) {
    ssize_t done = pread((int)descriptor, room, (size_t)size, (off_t)from);
    if (done <= 0) return false;
    room += done, size -= done, from += done;
  }
  return true;
}

/* Reads the vectors of `asked` slots one behind the other into `room`, and notes the bytes of each in `sizes`, [asked]. Returns
   their sum: nothing was read if that is more than there is room for; or FAILED. */
EXPORTED int64_t tokens_read(const struct token_files *all, const int64_t *slots, int64_t asked, char *room, int64_t bytes,
    int64_t *sizes) {
  int64_t sum = find_sizes(all, slots, asked, sizes);
  if (sum > bytes) return sum;
  int64_t descriptor = -1, begun = 0, ended = 0;
  for (int64_t one = 0; one < asked; one++) {
    if (sizes[one] <= 0) continue;
    const struct token_file *file = &all->files[slots[one] / all->slots];
    int64_t begin = file->at + (int64_t)file->bounds[slots[one] % all->slots] * all->reduced;
    if (file->descriptor != descriptor || begin != ended) {
      if (!read_all(descriptor, room, ended - begun, begun)) return FAILED;
      room += ended - begun;
      descriptor = file->descriptor;
      begun = begin;
    }
    ended = begin + sizes[one];
  }
  return read_all(descriptor, room, ended - begun, begun) ? sum : FAILED;
}
