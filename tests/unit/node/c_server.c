/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/node/c_server.h"

#include <stdio.h>
#include <string.h>

enum { GIVE_UP_MS = 20000, LOOK_MS = 1 };

void check_result(const char* file, int line, const char* what, int wanted, int result) {
  char why[640];
  if (result == wanted) return;
  snprintf(why, sizeof why, "is \"%s\", not \"%s\" (last error: %s)", clustix_result_name(result),
           clustix_result_name(wanted), clustix_error());
  report_failure(file, line, what, why);
}

void check_error(const char* file, int line, const char* what, int wanted, const char* words,
                 int result) {
  check_result(file, line, what, wanted, result);
  if (result >= CLUSTIX_INVALID && strstr(clustix_error(), words) == NULL)
    report_failure(file, line, what, clustix_error());
}

static void echo(const struct clustix_message* message, void* user) {
  struct server* server = user;
  CHECK_RESULT(CLUSTIX_OK, clustix_answer(server->node, &message->request, 0, message->payload,
                                          message->bytes));
}

static void fail(const struct clustix_message* message, void* user) {
  struct server* server = user;
  CHECK_RESULT(CLUSTIX_OK,
               clustix_answer(server->node, &message->request, 13, "because", strlen("because")));
}

static void keep(const struct clustix_message* message, void* user) {
  struct server* server = user;
  CHECK(server->kept_count < KEPT_MAX);
  if (server->kept_count < KEPT_MAX) server->kept[server->kept_count++] = message->request;
}

static void release(const struct clustix_message* message, void* user) {
  struct server* server = user;
  CHECK(!message->request.wants_answer);
  for (size_t i = 0; i < server->kept_count; i++) {
    const struct clustix_request* request = &server->kept[i];
    CHECK_RESULT(CLUSTIX_OK, clustix_answer(server->node, request, 0, "later", strlen("later")));
    CHECK_ERROR(CLUSTIX_NOT_FOUND, "answered",
                clustix_answer(server->node, request, 0, "again", strlen("again")));
  }
  server->kept_count = 0;
}

static void count(const struct clustix_message* message, void* user) {
  struct server* server = user;
  uint32_t number = UINT32_MAX;
  CHECK(message->bytes >= sizeof number);
  memcpy(&number, message->payload, sizeof number);
  CHECK(number == server->counted[message->request.lane]);
  server->counted[message->request.lane]++;
}

static void counted(const struct clustix_message* message, void* user) {
  struct server* server = user;
  const uint32_t sum = server->counted[0] + server->counted[1];
  CHECK_RESULT(CLUSTIX_OK, clustix_answer(server->node, &message->request, 0, &sum, sizeof sum));
}

static void fill(struct clustix_options* options) {
  memset(options->cluster, 0xc1, sizeof options->cluster);
  memset(options->key, 0x5e, sizeof options->key);
  options->tolerance_ms = 300;
}

static void* serve(void* user) {
  struct server* server = user;
  struct clustix_peer peer = {.node = CLIENT, .address = NULL};
  struct clustix_options options = CLUSTIX_OPTIONS_INIT;
  struct clustix_node* node = NULL;

  fill(&options);
  options.node = SERVER;
  options.listen_address = server->address;
  options.peers = &peer;
  options.peer_count = 1;
  CHECK_RESULT(CLUSTIX_OK, clustix_open(&options, &node));
  server->node = node;
  if (node != NULL) {
    clustix_handle(node, PORT_ECHO, echo, server);
    clustix_handle(node, PORT_FAIL, fail, server);
    clustix_handle(node, PORT_KEEP, keep, server);
    clustix_handle(node, PORT_RELEASE, release, server);
    clustix_handle(node, PORT_COUNT, count, server);
    clustix_handle(node, PORT_COUNTED, counted, server);
    snprintf(server->address, sizeof server->address, "%s", clustix_address(node));
  }
  pthread_mutex_lock(&server->mutex);
  server->is_open = true;
  pthread_cond_signal(&server->opened);
  pthread_mutex_unlock(&server->mutex);
  if (node != NULL) CHECK_RESULT(CLUSTIX_STOPPED, clustix_run(node, CLUSTIX_FOREVER));
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
  return NULL;
}

void server_start(struct server* server, const char* address) {
  char copy[sizeof server->address]; /* it may be the server's own of before */
  snprintf(copy, sizeof copy, "%s", address);
  memset(server, 0, sizeof *server);
  memcpy(server->address, copy, sizeof copy);
  pthread_mutex_init(&server->mutex, NULL);
  pthread_cond_init(&server->opened, NULL);
  CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
  pthread_mutex_lock(&server->mutex);
  while (!server->is_open) pthread_cond_wait(&server->opened, &server->mutex);
  pthread_mutex_unlock(&server->mutex);
}

void server_stop(struct server* server) {
  if (server->node != NULL) CHECK_RESULT(CLUSTIX_OK, clustix_stop(server->node));
  pthread_join(server->thread, NULL);
  pthread_cond_destroy(&server->opened);
  pthread_mutex_destroy(&server->mutex);
}

struct clustix_options client_options(const char* server_address, struct clustix_peer* peer) {
  struct clustix_options options = CLUSTIX_OPTIONS_INIT;
  fill(&options);
  peer->node = SERVER;
  peer->address = server_address;
  options.node = CLIENT;
  options.listen_address = "127.0.0.1:0";
  options.peers = peer;
  options.peer_count = 1;
  return options;
}

struct clustix_node* client_open(const char* server_address) {
  struct clustix_peer peer;
  const struct clustix_options options = client_options(server_address, &peer);
  struct clustix_node* node = NULL;
  CHECK_RESULT(CLUSTIX_OK, clustix_open(&options, &node));
  return node;
}

void run_until(struct clustix_node* node, const int* value, int wanted) {
  for (int waited_ms = 0; *value < wanted && waited_ms < GIVE_UP_MS; waited_ms += LOOK_MS)
    CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_run(node, LOOK_MS));
  CHECK(*value >= wanted);
}
