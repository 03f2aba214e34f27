/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often each byte stands in a file: a program for threads of one machine, now for processes of
 * all nodes. What the threads shared is two objects: the next part of the file that nobody has
 * taken, under what was a mutex, and the counts. Start it on any nodes: `histogram FILE SET`.
 */
#include <clustix/sets_c.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PART_BYTES = 1 << 16, NEXT_PART = 0, COUNTS = 1 };

static int fail(const char* what, int result) {
  fprintf(stderr, "histogram: %s: %s %s\n", what, clustix_result_name(result),
          result >= CLUSTIX_INVALID ? clustix_error() : "");
  return 1;
}

/* Adds `more` to `count` numbers of an object; `was` gets what stood there. */
static int add(struct clustix_set* set, uint64_t object, const uint64_t* more, size_t count,
               uint64_t* was) {
  struct clustix_write* write;
  int result = clustix_object_grab(set, object, NULL, &write);
  if (result != CLUSTIX_OK) return result;
  if ((result = clustix_write_resize(write, count * sizeof *more)) != CLUSTIX_OK) {
    clustix_write_abort(write);
    return result;
  }
  uint64_t* numbers = clustix_write_data(write);
  memcpy(was, numbers, count * sizeof *was);
  for (size_t i = 0; i < count; ++i) numbers[i] += more[i];
  return clustix_write_put(write, NULL);
}

int main(int argc, char** argv) {
  struct clustix_client* client;
  struct clustix_set* set;
  struct clustix_set_options options = CLUSTIX_SET_OPTIONS_INIT;
  options.create = true;
  FILE* file = argc == 3 ? fopen(argv[1], "rb") : NULL;
  int result;
  if (file == NULL) return fprintf(stderr, "usage: histogram FILE SET\n"), 2;
  if ((result = clustix_client_connect(NULL, &client))) return fail("no session", result);
  if ((result = clustix_set_open(client, argv[2], &options, &set))) return fail("no set", result);
  static unsigned char part[PART_BYTES];
  uint64_t taken, sum[256], one = 1, parts = 0;
  for (size_t bytes; !(result = add(set, NEXT_PART, &one, 1, &taken)); ++parts) {
    uint64_t counts[256] = {0};
    if (fseek(file, (long)(taken * PART_BYTES), SEEK_SET) != 0) break;
    if ((bytes = fread(part, 1, sizeof part, file)) == 0) break;
    for (size_t i = 0; i < bytes; ++i) ++counts[part[i]];
    if ((result = add(set, COUNTS, counts, 256, sum))) break;
  }
  if (result != CLUSTIX_OK) return fail("cannot go on", result);
  printf("counted %" PRIu64 " parts on node %d\n", parts, clustix_client_node(client));
  return fclose(file), clustix_set_close(set), clustix_client_close(client), 0;
}
