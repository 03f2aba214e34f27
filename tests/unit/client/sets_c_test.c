/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C API of object sets as any program sees it: the public header and libclustix.so. Ends with
 * the line of what failed first. Run by fake-sets-daemon.
 */
#include <clustix/sets_c.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define EXPECT(condition)                                                                     \
  do {                                                                                        \
    if (!(condition)) {                                                                       \
      fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition, \
              clustix_error());                                                               \
      return 1;                                                                               \
    }                                                                                         \
  } while (0)

static int reads_and_writes(struct clustix_set* set) {
  struct clustix_read* read;
  EXPECT(clustix_object_get(set, 1, NULL, &read) == CLUSTIX_NO_OBJECT);
  EXPECT(clustix_object_set(set, 1, "one", 3, NULL) == CLUSTIX_OK);
  EXPECT(clustix_object_get(set, 1, NULL, &read) == CLUSTIX_OK);
  EXPECT(clustix_read_bytes(read) == 3 && memcmp(clustix_read_data(read), "one", 3) == 0);
  EXPECT(clustix_read_version(read) > 0);
  clustix_read_end(read);
  EXPECT(clustix_object_find(set, 1, NULL, &read) == CLUSTIX_OK);
  clustix_read_end(read);
  char buffer[8];
  size_t bytes = 0;
  uint64_t version = 0;
  EXPECT(clustix_object_copy(set, 1, buffer, sizeof buffer, &bytes, &version, NULL) == CLUSTIX_OK);
  EXPECT(bytes == 3 && memcmp(buffer, "one", 3) == 0 && version > 0);
  EXPECT(clustix_object_copy(set, 1, buffer, 2, &bytes, NULL, NULL) == CLUSTIX_TOO_LARGE);
  EXPECT(bytes == 3);
  EXPECT(clustix_object_touch(set, 1, "two", 3, NULL) == CLUSTIX_OK);
  EXPECT(clustix_object_sync(set, 1, NULL) == CLUSTIX_OK);
  EXPECT(clustix_object_migrate(set, 1, 7, NULL) == CLUSTIX_OK);
  EXPECT(clustix_object_remove(set, 1, NULL) == CLUSTIX_OK);
  EXPECT(clustix_object_remove(set, 1, NULL) == CLUSTIX_NO_OBJECT);
  return 0;
}

static int grabs(struct clustix_set* set) {
  struct clustix_write* write;
  struct clustix_write* second;
  EXPECT(clustix_object_grab(set, 2, NULL, &write) == CLUSTIX_OK);
  EXPECT(clustix_write_bytes(write) == 0);
  EXPECT(clustix_write_resize(write, 4) == CLUSTIX_OK);
  memcpy(clustix_write_data(write), "abcd", 4);
  struct clustix_wait soon = CLUSTIX_WAIT_INIT;
  soon.timeout_ms = 1;
  EXPECT(clustix_object_grab(set, 2, &soon, &second) == CLUSTIX_DEADLINE);
  soon.timeout_ms = 0;
  soon.canceller = clustix_canceller_new();
  clustix_cancel_all(soon.canceller);
  EXPECT(clustix_object_grab(set, 2, &soon, &second) == CLUSTIX_CANCELLED);
  clustix_canceller_free(soon.canceller);
  EXPECT(clustix_write_put(write, NULL) == CLUSTIX_OK);
  EXPECT(clustix_object_grab(set, 2, NULL, &write) == CLUSTIX_OK);
  EXPECT(clustix_write_bytes(write) == 4 && memcmp(clustix_write_data(write), "abcd", 4) == 0);
  clustix_write_abort(write);
  return 0;
}

static void count(size_t index, int result, const void* data, size_t bytes, void* user) {
  (void)index;
  if (result == CLUSTIX_OK && data != NULL && bytes == 4) ++*(int*)user;
}

static int reads_many_and_watches(struct clustix_set* set) {
  const uint64_t objects[] = {2, 3};
  int found = 0;
  EXPECT(clustix_object_get_many(set, objects, 2, count, &found, NULL) == CLUSTIX_OK);
  EXPECT(found == 1);
  EXPECT(clustix_object_prefetch(set, objects, 2) == 2);
  struct clustix_watch* watch;
  EXPECT(clustix_watch_open(set, 5, 9, &watch) == CLUSTIX_OK);
  struct clustix_watch* twice;
  EXPECT(clustix_watch_open(set, 5, 9, &twice) == CLUSTIX_IN_USE);
  EXPECT(clustix_object_set(set, 7, "new", 3, NULL) == CLUSTIX_OK);
  struct pollfd ready = {.fd = clustix_watch_fd(watch), .events = POLLIN};
  EXPECT(poll(&ready, 1, 60000) == 1);
  uint64_t object = 0, version = 0;
  EXPECT(clustix_watch_next(watch, &object, &version, NULL) == CLUSTIX_OK);
  EXPECT(object == 7 && version > 0);
  clustix_watch_close(watch);
  return 0;
}

static int answers_misuse(struct clustix_client* client, struct clustix_set* set) {
  struct clustix_set* none;
  struct clustix_set_options options = CLUSTIX_SET_OPTIONS_INIT;
  EXPECT(clustix_set_open(client, "test/none", NULL, &none) == CLUSTIX_NOT_FOUND);
  EXPECT(strstr(clustix_error(), "clustix_set_open: ") == clustix_error());
  options.create = options.exclusive = true;
  EXPECT(clustix_set_open(client, "test/set", &options, &none) == CLUSTIX_EXISTS);
  options.durability = 99;
  EXPECT(clustix_set_open(client, "test/set", &options, &none) == CLUSTIX_INVALID);
  EXPECT(clustix_set_open(client, NULL, NULL, &none) == CLUSTIX_INVALID);
  EXPECT(clustix_object_set(set, 1, "", 0, NULL) == CLUSTIX_INVALID);
  EXPECT(clustix_object_set(NULL, 1, "x", 1, NULL) == CLUSTIX_INVALID);
  EXPECT(clustix_object_get(set, 1, NULL, NULL) == CLUSTIX_INVALID);
  struct clustix_wait small = CLUSTIX_WAIT_INIT;
  small.size = 1;
  EXPECT(clustix_object_remove(set, 1, &small) == CLUSTIX_INVALID);
  EXPECT(clustix_write_put(NULL, NULL) == CLUSTIX_INVALID);
  struct clustix_set_options reading = CLUSTIX_SET_OPTIONS_INIT;
  reading.read_only = true;
  struct clustix_set* reader;
  EXPECT(clustix_set_open(client, "test/set", &reading, &reader) == CLUSTIX_OK);
  EXPECT(clustix_object_set(reader, 1, "x", 1, NULL) == CLUSTIX_PERMISSION);
  clustix_set_close(reader);
  EXPECT(strcmp(clustix_result_name(CLUSTIX_REVOKED), "revoked") == 0);
  return 0;
}

int main(void) {
  struct clustix_client* client;
  struct clustix_set* set;
  struct clustix_client_options nowhere = CLUSTIX_CLIENT_OPTIONS_INIT;
  nowhere.socket = "/nowhere/clustixd.sock";
  EXPECT(clustix_client_connect(&nowhere, &client) == CLUSTIX_NOT_FOUND);
  EXPECT(clustix_client_connect(NULL, &client) == CLUSTIX_OK);
  EXPECT(clustix_client_node(client) == 7 && clustix_client_alive(client));
  struct clustix_set_options options = CLUSTIX_SET_OPTIONS_INIT;
  options.create = true;
  EXPECT(clustix_set_open(client, "test/set", &options, &set) == CLUSTIX_OK);
  if (reads_and_writes(set) || grabs(set) || reads_many_and_watches(set) ||
      answers_misuse(client, set)) {
    return 1;
  }
  EXPECT(clustix_set_remove(client, "test/set") == CLUSTIX_OK);
  clustix_set_close(set);
  clustix_client_close(client);
  return 0;
}
