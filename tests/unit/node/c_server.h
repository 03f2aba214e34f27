/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the C API share: checks, and node 2 on a thread of its own, whose ports each do
 * one thing. C11, as the programs that the API is for.
 */
#ifndef CLUSTIX_TESTS_UNIT_NODE_C_SERVER_H_
#define CLUSTIX_TESTS_UNIT_NODE_C_SERVER_H_

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clustix/clustix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tells GoogleTest of a check that failed; the test goes on. */
void report_failure(const char* file, int line, const char* what, const char* why);

#define CHECK(condition) \
  ((condition) ? (void)0 : report_failure(__FILE__, __LINE__, #condition, "is false"))
/* As CHECK(result == wanted), and says what it was instead. */
#define CHECK_RESULT(wanted, expression) \
  check_result(__FILE__, __LINE__, #expression, (wanted), (expression))
void check_result(const char* file, int line, const char* what, int wanted, int result);
/* `expression` fails with `wanted`, and clustix_error() has `words` in it. */
#define CHECK_ERROR(wanted, words, expression) \
  check_error(__FILE__, __LINE__, #expression, (wanted), (words), (expression))
void check_error(const char* file, int line, const char* what, int wanted, const char* words,
                 int result);

enum { CLIENT = 1, SERVER = 2 };

/* What the server's ports do. */
enum {
  PORT_ECHO = 1000, /* answers with what it gets */
  PORT_FAIL,        /* answers with status 13 and "because" */
  PORT_KEEP,        /* keeps the call until something comes on PORT_RELEASE */
  PORT_RELEASE,     /* answers what was kept, in the order of arrival */
  PORT_COUNT,       /* one-way messages of one uint32_t, which count from 0 on each lane */
  PORT_COUNTED,     /* answers with how many came on PORT_COUNT, over both lanes */
  PORT_NOBODY       /* has no handler */
};

enum { KEPT_MAX = 16 };

struct server {
  struct clustix_node* node; /* for clustix_stop() and clustix_post() */
  char address[64];
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t opened;
  bool is_open;
  /* The server thread's own. */
  struct clustix_request kept[KEPT_MAX];
  size_t kept_count;
  uint32_t counted[2];
};

/* Starts node 2 on `address` ("127.0.0.1:0" for any port) and waits until it listens. */
void server_start(struct server* server, const char* address);
/* Leaves the cluster in good order. */
void server_stop(struct server* server);

/* The options of node 1, which knows the server by *peer. */
struct clustix_options client_options(const char* server_address, struct clustix_peer* peer);
/* Node 1, or NULL after a failed check. */
struct clustix_node* client_open(const char* server_address);

/* Turns node's loop until *value is `wanted` or more; fails after 20 s. */
void run_until(struct clustix_node* node, const int* value, int wanted);

#ifdef __cplusplus
}
#endif

#endif /* CLUSTIX_TESTS_UNIT_NODE_C_SERVER_H_ */
