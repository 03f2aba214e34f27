/* SPDX-License-Identifier: Apache-2.0 */
/* What the C API refuses, and how it says so: nothing of this may crash, hang or go unnoticed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/node/c_cases.h"
#include "tests/unit/node/c_server.h"

/* An address that nobody listens on, of a peer that never comes. */
static const char nowhere[] = "127.0.0.1:1";

static void ignore_reply(const struct clustix_reply* reply, void* user) {}

/* Options, each of which is wrong in one way. */
static void check_open(const struct clustix_options* options, const char* words) {
  struct clustix_node* node = NULL;
  CHECK_ERROR(CLUSTIX_INVALID, words, clustix_open(options, &node));
  CHECK(node == NULL);
}

void Options_are_refused_with_their_name(void) {
  struct clustix_peer peer, twice[2];
  const struct clustix_options good = client_options(nowhere, &peer);
  struct clustix_options bad;
  struct clustix_node* node = NULL;

  CHECK_ERROR(CLUSTIX_INVALID, "clustix_options is NULL", clustix_open(NULL, &node));
  CHECK_ERROR(CLUSTIX_INVALID, "no room", clustix_open(&good, NULL));
  bad = good, bad.node = 0, check_open(&bad, "clustix_open: node is 0, expected 1 to 511");
  bad = good, bad.node = 512, check_open(&bad, "node is 512, expected 1 to 511");
  bad = good, memset(bad.key, 0, sizeof bad.key), check_open(&bad, "key is all zeros");
  bad = good, memset(bad.cluster, 0, sizeof bad.cluster), check_open(&bad, "cluster is all zeros");
  bad = good, bad.listen_address = NULL, check_open(&bad, "listen_address is missing");
  bad = good, bad.listen_address = "localhost:7", check_open(&bad, "listen_address");
  bad = good, bad.bind_address = "10.0.0.1:7", check_open(&bad, "bind_address");
  bad = good, bad.tolerance_ms = 49, check_open(&bad, "tolerance_ms is 49, expected 50 to 60000");
  bad = good, bad.queue_messages = 1 << 21, check_open(&bad, "queue_messages");
  bad = good, bad.queue_bytes = 1000, check_open(&bad, "queue_bytes");
  bad = good, bad.window_messages = 1 << 21, check_open(&bad, "window_messages");
  bad = good, bad.window_bytes = 1000, check_open(&bad, "window_bytes");
  bad = good, bad.spin_us = 1001, check_open(&bad, "spin_us is 1001, expected 0 to 1000");
  bad = good, bad.peers = NULL, check_open(&bad, "peers is NULL, and peer_count is 1");
  peer.node = 512, check_open(&good, "peers[0].node is 512");
  peer.node = CLIENT, check_open(&good, "peers[0] is this node itself");
  peer.node = SERVER, peer.address = NULL, check_open(&good, "peers[0] has no address");
  peer.address = "nowhere", check_open(&good, "peers[0]");
  peer.address = nowhere, twice[0] = twice[1] = peer;
  bad = good, bad.peers = twice, bad.peer_count = 2, check_open(&bad, "node 2 is listed twice");

  bad = good, bad.congestion = "no such";
  CHECK(clustix_open(&bad, &node) >= CLUSTIX_INVALID && strstr(clustix_error(), "no such") != NULL);
  bad = good, bad.size = 8, check_open(&bad, "size of struct clustix_options is 8");
}

void An_address_in_use_is_refused(void) {
  struct clustix_peer peer;
  struct clustix_options options = client_options(nowhere, &peer);
  struct clustix_node *node = NULL, *other = NULL;
  CHECK_RESULT(CLUSTIX_OK, clustix_open(&options, &node));
  options.listen_address = clustix_address(node);
  CHECK_ERROR(CLUSTIX_IN_USE, clustix_address(node), clustix_open(&options, &other));
  CHECK(other == NULL);
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
}

void Arguments_are_refused_with_their_name(void) {
  struct clustix_node* node = client_open(nowhere);
  struct clustix_call_options options = CLUSTIX_CALL_OPTIONS_INIT;
  struct clustix_request request = {0};
  struct clustix_reply reply;
  struct clustix_peer_info info = CLUSTIX_PEER_INFO_INIT;
  const int control = CLUSTIX_LANE_CONTROL, wrong = 2;

  CHECK_ERROR(CLUSTIX_INVALID, "clustix_send: node is NULL",
              clustix_send(NULL, 2, 1000, NULL, 0, control, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "node is 0",
              clustix_send(node, 0, 1000, "", 0, control, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "node is 512",
              clustix_send(node, 512, 1000, "", 0, control, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "port is 0", clustix_send(node, 2, 0, "", 0, control, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "payload is NULL, and bytes is 3",
              clustix_send(node, 2, 1000, NULL, 3, control, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "lane is 2", clustix_send(node, 2, 1000, "", 0, wrong, NULL, NULL));

  CHECK_ERROR(CLUSTIX_INVALID, "clustix_send_in_place: done is NULL",
              clustix_send_in_place(node, 2, 1000, "x", 1, control, NULL, NULL));

  options.lane = wrong;
  CHECK_ERROR(CLUSTIX_INVALID, "clustix_call: lane is 2",
              clustix_call(node, 2, 1000, "", 0, &options, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "port is 0", clustix_call(node, 2, 0, "", 0, NULL, &reply));
  CHECK(reply.result == CLUSTIX_INVALID && reply.payload == NULL && reply.bytes == 0);
  CHECK_ERROR(CLUSTIX_INVALID, "clustix_call_async: done is NULL",
              clustix_call_async(node, 2, 1000, "", 0, NULL, NULL, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "clustix_call_async: node is 0",
              clustix_call_async(node, 0, 1000, "", 0, NULL, ignore_reply, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "id is NULL", clustix_cancel(node, NULL));

  CHECK_ERROR(CLUSTIX_INVALID, "port is 0", clustix_handle(node, 0, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "request is NULL", clustix_answer(node, NULL, 0, NULL, 0));
  CHECK_ERROR(CLUSTIX_INVALID, "status is 65535", clustix_answer(node, &request, 65535, NULL, 0));
  CHECK_ERROR(CLUSTIX_INVALID, "payload is NULL", clustix_answer(node, &request, 0, NULL, 1));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_answer(node, &request, 0, NULL, 0));
  request.from = SERVER, request.id = 77;
  CHECK_ERROR(CLUSTIX_NOT_FOUND, "answered", clustix_answer(node, &request, 0, NULL, 0));

  CHECK_ERROR(CLUSTIX_INVALID, "listener is NULL", clustix_on_event(node, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "listener is NULL", clustix_on_writable(node, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "clustix_peer_info is NULL", clustix_get_peer_info(node, 2, NULL));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_get_peer_info(node, 9, &info));
  CHECK_ERROR(CLUSTIX_INVALID, "task is NULL", clustix_post(node, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "clustix_stop: node is NULL", clustix_stop(NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "timeout_ms is -2", clustix_run(node, -2));
  CHECK_ERROR(CLUSTIX_INVALID, "clustix_run: node is NULL", clustix_run(NULL, 0));
  CHECK(clustix_address(NULL) == NULL && clustix_max_payload(NULL) == 0);
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
  CHECK_RESULT(CLUSTIX_OK, clustix_close(NULL));
}

void Queues_refuse_what_they_cannot_do(void) {
  struct clustix_node* node = client_open(nowhere);
  struct clustix_queue* queue = NULL;
  struct clustix_completion done;
  size_t count = 7;
  const int bulk = CLUSTIX_LANE_BULK;

  CHECK_ERROR(CLUSTIX_INVALID, "node is NULL", clustix_queue_open(NULL, &queue));
  CHECK_ERROR(CLUSTIX_INVALID, "no room", clustix_queue_open(node, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(node, &queue));
  CHECK_ERROR(CLUSTIX_INVALID, "queue is NULL", clustix_queue_next(NULL, &done, 1, 0, &count));
  CHECK_ERROR(CLUSTIX_INVALID, "no room", clustix_queue_next(queue, NULL, 1, 0, &count));
  CHECK_ERROR(CLUSTIX_INVALID, "no room", clustix_queue_next(queue, &done, 0, 0, &count));
  CHECK_ERROR(CLUSTIX_INVALID, "no room", clustix_queue_next(queue, &done, 1, 0, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "timeout_ms", clustix_queue_next(queue, &done, 1, -9, &count));
  CHECK(count == 7);
  CHECK_ERROR(CLUSTIX_INVALID, "port is 0",
              clustix_queue_call(queue, 2, 0, NULL, 0, NULL, 0, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "node is 0", clustix_queue_send(queue, 0, 1, NULL, 0, bulk, 0));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_queue_send(queue, 9, 1, NULL, 0, bulk, 0));
  CHECK(clustix_queue_outstanding(queue) == 0 && clustix_queue_outstanding(NULL) == SIZE_MAX);
  CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_queue_next(queue, &done, 1, 10, &count));
  CHECK(count == 0);
  CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_queue_next(queue, &done, SIZE_MAX, 0, &count));
  CHECK_RESULT(CLUSTIX_OK, clustix_stop(node));
  CHECK_RESULT(CLUSTIX_STOPPED, clustix_queue_next(queue, &done, 1, CLUSTIX_FOREVER, &count));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_close(NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
}

struct inside {
  struct clustix_node* node;
  struct clustix_queue* queue;
  int times;
};

static void turn_and_end(void* user) {
  struct inside* inside = user;
  struct clustix_completion done;
  struct clustix_queue* queue = NULL;
  size_t count;
  CHECK_ERROR(CLUSTIX_IN_CALLBACK, "clustix_run: not from within a callback",
              clustix_run(inside->node, 0));
  CHECK_ERROR(CLUSTIX_IN_CALLBACK, "clustix_call",
              clustix_call(inside->node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK_ERROR(CLUSTIX_IN_CALLBACK, "clustix_queue_next",
              clustix_queue_next(inside->queue, &done, 1, 0, &count));
  CHECK_ERROR(CLUSTIX_IN_CALLBACK, "clustix_queue_close", clustix_queue_close(inside->queue));
  CHECK_ERROR(CLUSTIX_IN_CALLBACK, "clustix_close", clustix_close(inside->node));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_call(inside->queue, SERVER, PORT_ECHO, NULL, 0, NULL, 1,
                                              NULL)); /* everything else is allowed */
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(inside->node, &queue));
  inside->times++;
  CHECK_RESULT(CLUSTIX_OK, clustix_stop(inside->node));
}

void A_callback_cannot_turn_or_end_its_node(void) {
  struct inside inside = {.node = client_open(nowhere)};
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(inside.node, &inside.queue));
  CHECK_RESULT(CLUSTIX_OK, clustix_post(inside.node, turn_and_end, &inside));
  CHECK_RESULT(CLUSTIX_STOPPED, clustix_run(inside.node, CLUSTIX_FOREVER));
  CHECK(inside.times == 1 && clustix_queue_outstanding(inside.queue) == 1);
  CHECK_RESULT(CLUSTIX_OK, clustix_close(inside.node));
}

static void* use_elsewhere(void* user) {
  struct inside* inside = user;
  struct clustix_completion done;
  struct clustix_request request = {.from = SERVER};
  struct clustix_call_id id = {.node = SERVER};
  size_t count;
  CHECK(strcmp(clustix_error(), "") == 0); /* each thread has its own */
  CHECK_ERROR(CLUSTIX_WRONG_THREAD, "clustix_run: the node belongs to the thread that opened it",
              clustix_run(inside->node, 0));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_send(inside->node, SERVER, PORT_ECHO, NULL, 0,
                                                  CLUSTIX_LANE_CONTROL, NULL, NULL));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD,
               clustix_call(inside->node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_call_async(inside->node, SERVER, PORT_ECHO, NULL, 0,
                                                        NULL, ignore_reply, NULL, NULL));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_cancel(inside->node, &id));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_answer(inside->node, &request, 0, NULL, 0));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_handle(inside->node, PORT_ECHO, NULL, NULL));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_queue_next(inside->queue, &done, 1, 0, &count));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_queue_close(inside->queue));
  CHECK_RESULT(CLUSTIX_WRONG_THREAD, clustix_close(inside->node));
  return NULL;
}

void Another_thread_cannot_use_a_node(void) {
  struct inside inside = {.node = client_open(nowhere)};
  pthread_t thread;
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(inside.node, &inside.queue));
  CHECK(pthread_create(&thread, NULL, use_elsewhere, &inside) == 0);
  pthread_join(thread, NULL);
  CHECK_RESULT(CLUSTIX_OK, clustix_close(inside.node));
}

enum { POSTS = 100 };

static void count_post(void* user) {
  struct inside* inside = user;
  if (++inside->times == POSTS) clustix_stop(inside->node);
}

static void* post_elsewhere(void* user) {
  struct inside* inside = user;
  for (int i = 0; i < POSTS; i++)
    CHECK_RESULT(CLUSTIX_OK, clustix_post(inside->node, count_post, inside));
  return NULL;
}

static void* stop_elsewhere(void* user) {
  struct inside* inside = user;
  CHECK_RESULT(CLUSTIX_OK, clustix_stop(inside->node));
  return NULL;
}

void Another_thread_may_post_and_stop(void) {
  struct inside inside = {.node = client_open(nowhere)};
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, post_elsewhere, &inside) == 0);
  CHECK_RESULT(CLUSTIX_STOPPED, clustix_run(inside.node, CLUSTIX_FOREVER));
  CHECK(inside.times == POSTS);
  pthread_join(thread, NULL);
  CHECK(pthread_create(&thread, NULL, stop_elsewhere, &inside) == 0);
  CHECK_RESULT(CLUSTIX_STOPPED, clustix_run(inside.node, CLUSTIX_FOREVER));
  pthread_join(thread, NULL);
  CHECK_RESULT(CLUSTIX_OK, clustix_close(inside.node));
}

void A_stop_that_comes_first_ends_the_next_run(void) {
  struct clustix_node* node = client_open(nowhere);
  CHECK_RESULT(CLUSTIX_OK, clustix_stop(node));
  CHECK_RESULT(CLUSTIX_STOPPED, clustix_run(node, CLUSTIX_FOREVER));
  CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_run(node, 1));
  CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_run(node, 0));
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
}

void Structures_may_grow_by_zeros_alone(void) {
  struct {
    struct clustix_options options;
    uint64_t of_a_later_version;
  } longer;
  struct clustix_peer peer;
  struct clustix_node* node = NULL;
  memset(&longer, 0, sizeof longer);
  longer.options = client_options(nowhere, &peer);
  longer.options.size = sizeof longer;
  CHECK_RESULT(CLUSTIX_OK, clustix_open(&longer.options, &node));
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
  longer.of_a_later_version = 1;
  CHECK_ERROR(CLUSTIX_INVALID, "this version of libclustix does not know",
              clustix_open(&longer.options, &node));
}

void Uuids_and_keys_are_read(void) {
  uint8_t uuid[CLUSTIX_UUID_BYTES] = {0}, key[CLUSTIX_KEY_BYTES] = {0};
  char path[] = "/tmp/clustix-key.XXXXXX";
  const int fd = mkstemp(path);
  CHECK(fd >= 0 && dprintf(fd, "%064d\n", 42) > 0);
  CHECK_RESULT(CLUSTIX_OK, clustix_load_key(path, key));
  CHECK(key[31] == 0x42 && key[0] == 0);
  CHECK(fchmod(fd, 0644) == 0);
  CHECK_ERROR(CLUSTIX_PERMISSION, "chmod 600", clustix_load_key(path, key));
  CHECK(fchmod(fd, 0600) == 0 && ftruncate(fd, 10) == 0);
  CHECK_ERROR(CLUSTIX_INVALID, path, clustix_load_key(path, key));
  close(fd);
  unlink(path);
  CHECK(clustix_load_key(path, key) >= CLUSTIX_INVALID && strstr(clustix_error(), path) != NULL);
  CHECK_ERROR(CLUSTIX_INVALID, "NULL", clustix_load_key(NULL, key));

  CHECK_RESULT(CLUSTIX_OK, clustix_parse_uuid("6ba7b810-9dad-41d1-80b4-00C04FD430C8", uuid));
  CHECK(uuid[0] == 0x6b && uuid[15] == 0xc8);
  CHECK_ERROR(CLUSTIX_INVALID, "6ba7", clustix_parse_uuid("6ba7", uuid));
  CHECK_ERROR(CLUSTIX_INVALID, "NULL", clustix_parse_uuid(NULL, uuid));
}

void Every_result_has_a_name(void) {
  for (int result = CLUSTIX_OK; result <= CLUSTIX_EXISTS; result++) {
    const bool exists = result <= CLUSTIX_OUT_OF_MEMORY ||
                        (result >= CLUSTIX_TIMEOUT && result <= CLUSTIX_UNAVAILABLE) ||
                        result >= CLUSTIX_INVALID;
    CHECK((strcmp(clustix_result_name(result), "?") != 0) == exists);
  }
  CHECK(strcmp(clustix_result_name(-1), "?") == 0);
  CHECK(strcmp(clustix_result_name(CLUSTIX_EXISTS + 1), "?") == 0);
  CHECK(strcmp(clustix_result_name(CLUSTIX_UNKNOWN), "outcome unknown") == 0);
  CHECK(strcmp(clustix_event_name(CLUSTIX_EVENT_REBOOTED), "rebooted") == 0);
  CHECK(strcmp(clustix_event_name(-1), "?") == 0 && strcmp(clustix_event_name(5), "?") == 0);
  CHECK(strcmp(clustix_peer_state_name(CLUSTIX_PEER_DEAD), "dead") == 0);
  CHECK(strcmp(clustix_peer_state_name(5), "?") == 0);
}

static void note_line(const char* line, void* user) {
  int* const times = user;
  CHECK(strchr(line, '\n') == NULL && strlen(line) > 0);
  ++*times;
}

void The_log_goes_where_it_is_sent(void) {
  struct server server;
  int times = 0;
  CHECK_RESULT(CLUSTIX_OK, clustix_set_log(CLUSTIX_LOG_INFO, note_line, &times));
  server_start(&server, "127.0.0.1:0");
  struct clustix_node* node = client_open(server.address);
  CHECK_RESULT(CLUSTIX_OK, clustix_call(node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
  server_stop(&server);
  CHECK(times > 0);
  CHECK_RESULT(CLUSTIX_OK, clustix_set_log(CLUSTIX_LOG_INFO, NULL, NULL));
  CHECK_ERROR(CLUSTIX_INVALID, "lowest is 4", clustix_set_log(4, NULL, NULL));
}
