/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C API of object sets as any program sees it: the public header and libclustix.so. Ends with
 * the line of what failed first. Run by fake-sets-daemon.
 */
#include <clustix/sets_c.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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
  EXPECT(clustix_object_touch_get(set, 1, "two", 3, NULL, &read) == CLUSTIX_OK);
  EXPECT(clustix_read_bytes(read) == 3 && memcmp(clustix_read_data(read), "one", 3) == 0);
  clustix_read_end(read);
  EXPECT(clustix_object_touch_get(set, 4, "four", 4, NULL, &read) == CLUSTIX_OK);
  EXPECT(clustix_read_bytes(read) == 4 && memcmp(clustix_read_data(read), "four", 4) == 0);
  clustix_read_end(read);
  EXPECT(clustix_object_touch_get(set, 4, "", 0, NULL, NULL) == CLUSTIX_INVALID);
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
  EXPECT(clustix_write_resize(write, CLUSTIX_OBJECT_BYTES_MAX + 1) == CLUSTIX_TOO_LARGE);
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
  struct clustix_wait soon = CLUSTIX_WAIT_INIT;
  soon.timeout_ms = 1;
  EXPECT(clustix_watch_next(watch, &object, &version, &soon) == CLUSTIX_DEADLINE);
  clustix_watch_close(watch);
  return 0;
}

struct change {
  int result;
  uint64_t object, version;
};

/* `user`: the end of a pipe. On a thread of the library's. */
static void changed(int result, uint64_t object, uint64_t version, void* user) {
  const struct change change = {.result = result, .object = object, .version = version};
  if (write(*(int*)user, &change, sizeof change) != sizeof change) perror("write");
}

static int is_told_of_changes(struct clustix_set* set) {
  int ends[2];
  EXPECT(pipe(ends) == 0);
  struct clustix_watch* watch;
  struct clustix_watch* backwards;
  EXPECT(clustix_watch_start(set, 20, 29, changed, &ends[1], NULL, &watch) == CLUSTIX_OK);
  EXPECT(clustix_watch_start(set, 29, 20, changed, NULL, NULL, &backwards) == CLUSTIX_INVALID);
  EXPECT(clustix_object_set(set, 25, "new", 3, NULL) == CLUSTIX_OK);
  struct change change;
  EXPECT(read(ends[0], &change, sizeof change) == sizeof change);
  EXPECT(change.result == CLUSTIX_OK && change.object == 25 && change.version > 0);
  EXPECT(clustix_object_remove(set, 25, NULL) == CLUSTIX_OK);
  EXPECT(read(ends[0], &change, sizeof change) == sizeof change);
  EXPECT(change.result == CLUSTIX_OK && change.object == 25 && change.version == 0);
  clustix_watch_close(watch);
  /* Without a callback it is as any other, but waits as it is told. */
  struct clustix_wait wait = CLUSTIX_WAIT_INIT;
  EXPECT(clustix_watch_start(set, 20, 29, NULL, NULL, &wait, &watch) == CLUSTIX_OK);
  EXPECT(clustix_object_set(set, 25, "new", 3, NULL) == CLUSTIX_OK);
  EXPECT(clustix_watch_next(watch, &change.object, NULL, &wait) == CLUSTIX_OK);
  EXPECT(change.object == 25);
  clustix_watch_close(watch);
  close(ends[0]);
  close(ends[1]);
  return 0;
}

struct seen {
  int sets, hot;
};

static void see_set(const struct clustix_set_info* info, void* user) {
  struct seen* seen = user;
  if (strcmp(info->name, "test/set") == 0 && info->policy->mode == 0640 &&
      info->policy->durability == CLUSTIX_REPLICAS_2 && info->objects > 0 && info->clients == 1 &&
      info->counter_count == 1 && strcmp(info->counters[0].name, "gets_asked") == 0 &&
      info->counters[0].value == 3) {
    ++seen->sets;
  }
}

static void see_hot(const struct clustix_hot_object* hot, void* user) {
  struct seen* seen = user;
  if (strcmp(hot->set, "test/set") == 0 && hot->object == 5 && hot->home == 7 &&
      hot->transfers_per_second > 2 && hot->waiting == 1) {
    ++seen->hot;
  }
}

static int describes_sets(struct clustix_client* client, struct clustix_set* set) {
  EXPECT(strcmp(clustix_set_name(set), "test/set") == 0);
  EXPECT(clustix_set_created(set));
  EXPECT(clustix_set_get_policy(set)->durability == CLUSTIX_REPLICAS_2);
  EXPECT(clustix_set_get_policy(set)->mode == 0600);
  EXPECT(strcmp(clustix_set_get_policy(set)->linker, "") == 0);
  size_t count = 0;
  EXPECT(clustix_client_members(client, &count)[0] == 7 && count == 1);
  struct seen seen = {0};
  EXPECT(clustix_set_list(client, NULL, see_set, &seen) == CLUSTIX_OK && seen.sets == 1);
  EXPECT(clustix_set_stat(client, "test/set", see_set, &seen) == CLUSTIX_OK && seen.sets == 2);
  EXPECT(clustix_set_hot_objects(client, "test/", see_hot, &seen) == CLUSTIX_OK && seen.hot == 1);
  EXPECT(clustix_set_list(client, NULL, NULL, NULL) == CLUSTIX_INVALID);
  EXPECT(clustix_set_stat(client, NULL, see_set, NULL) == CLUSTIX_INVALID);
  EXPECT(clustix_set_hot_objects(NULL, NULL, see_hot, NULL) == CLUSTIX_INVALID);
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
      is_told_of_changes(set) || describes_sets(client, set) || answers_misuse(client, set)) {
    return 1;
  }
  EXPECT(clustix_set_remove(client, "test/set") == CLUSTIX_OK);
  clustix_set_close(set);
  clustix_client_close(client);
  return 0;
}
