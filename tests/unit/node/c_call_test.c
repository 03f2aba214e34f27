/* SPDX-License-Identifier: Apache-2.0 */
/* What the C API does for its caller: each way to send and to call, and each end of it. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/node/c_cases.h"
#include "tests/unit/node/c_server.h"

struct world {
  struct server server;
  struct clustix_node* node; /* node 1 */
};

static void begin(struct world* world) {
  server_start(&world->server, "127.0.0.1:0");
  world->node = client_open(world->server.address);
}

static void end(struct world* world) {
  CHECK_RESULT(CLUSTIX_OK, clustix_close(world->node));
  server_stop(&world->server);
}

/* What callbacks have told. */
struct told {
  int times;
  int result;
  uint16_t status;
  char text[16];
};

static void note_reply(const struct clustix_reply* reply, void* user) {
  struct told* told = user;
  told->times++;
  told->result = reply->result;
  told->status = reply->status;
  CHECK(reply->bytes < sizeof told->text);
  if (reply->bytes > 0 && reply->bytes < sizeof told->text)
    memcpy(told->text, reply->payload, reply->bytes);
}

static void note_sent(int result, void* user) {
  struct told* told = user;
  told->times++;
  told->result = result;
}

static bool is_text(const struct clustix_reply* reply, const char* text) {
  return reply->bytes == strlen(text) && memcmp(reply->payload, text, reply->bytes) == 0;
}

void A_sync_call_brings_the_answer(void) {
  struct world world;
  struct clustix_reply reply;
  begin(&world);
  for (int i = 0; i < 100; i++) {
    CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, "ping", 4, NULL, &reply));
    CHECK(reply.result == CLUSTIX_OK && reply.status == 0 && is_text(&reply, "ping"));
  }
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, &reply));
  CHECK(reply.bytes == 0);
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, "ping", 4, NULL, NULL));
  end(&world);
}

void A_large_payload_goes_both_ways_on_the_bulk_lane(void) {
  struct world world;
  struct clustix_reply reply;
  struct clustix_call_options options = CLUSTIX_CALL_OPTIONS_INIT;
  begin(&world);
  const size_t bytes = clustix_max_payload(world.node);
  unsigned char* payload = malloc(bytes);
  for (size_t i = 0; i < bytes; i++) payload[i] = (unsigned char)(i * 31 >> 3);
  options.lane = CLUSTIX_LANE_BULK;
  options.timeout_ms = 0;
  CHECK_RESULT(CLUSTIX_OK,
               clustix_call(world.node, SERVER, PORT_ECHO, payload, bytes, &options, &reply));
  CHECK(reply.bytes == bytes && memcmp(reply.payload, payload, bytes) == 0);
  free(payload);
  end(&world);
}

void An_async_call_runs_its_callback_once(void) {
  struct world world;
  struct told told = {0};
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_ECHO, "ping", 4, NULL,
                                              note_reply, &told, NULL));
  CHECK(told.times == 0);
  run_until(world.node, &told.times, 1);
  CHECK_RESULT(CLUSTIX_OK, told.result);
  CHECK(strcmp(told.text, "ping") == 0);
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, "ping", 4, NULL, NULL));
  CHECK(told.times == 1);
  end(&world);
}

void A_queue_tells_of_a_thousand_calls_by_their_tags(void) {
  enum { CALLS = 1000, SENDS = 10, UNDER_WAY = 64 };
  struct world world;
  struct clustix_queue* queue = NULL;
  struct clustix_completion done[UNDER_WAY];
  char seen[CALLS + SENDS] = {0};
  uint64_t called = 0;
  size_t count = 0;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue));
  for (uint32_t i = 0; i < SENDS; i++)
    CHECK_RESULT(CLUSTIX_OK, clustix_queue_send(queue, SERVER, PORT_COUNT, &i, sizeof i,
                                                CLUSTIX_LANE_BULK, CALLS + i));
  while (called < CALLS || clustix_queue_outstanding(queue) > 0) {
    for (; called < CALLS && clustix_queue_outstanding(queue) < UNDER_WAY; called++)
      CHECK_RESULT(CLUSTIX_OK, clustix_queue_call(queue, SERVER, PORT_ECHO, &called, sizeof called,
                                                  NULL, called, NULL));
    CHECK_RESULT(CLUSTIX_OK, clustix_queue_next(queue, done, UNDER_WAY, 20000, &count));
    if (count == 0) break;
    for (size_t i = 0; i < count; i++) {
      CHECK_RESULT(CLUSTIX_OK, done[i].result);
      CHECK(done[i].tag < CALLS + SENDS && !seen[done[i].tag]);
      seen[done[i].tag] = 1;
      if (done[i].tag >= CALLS) continue;
      CHECK(done[i].bytes == sizeof called && memcmp(done[i].payload, &done[i].tag, 8) == 0);
    }
  }
  CHECK(memchr(seen, 0, sizeof seen) == NULL);
  CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_queue_next(queue, done, UNDER_WAY, 0, &count));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_close(queue));
  end(&world);
}

void A_queue_harvests_as_many_as_there_is_room_for(void) {
  struct world world;
  struct clustix_queue* queue = NULL;
  struct clustix_completion done[2];
  size_t count = 0;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue));
  for (uint64_t tag = 0; tag < 5; tag++)
    CHECK_RESULT(CLUSTIX_OK,
                 clustix_queue_call(queue, SERVER, PORT_ECHO, &tag, sizeof tag, NULL, tag, NULL));
  /* A call that is answered after those: then all five are in the queue. */
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK(clustix_queue_outstanding(queue) == 5);
  for (uint64_t tag = 0; tag < 5; tag += count) {
    CHECK_RESULT(CLUSTIX_OK, clustix_queue_next(queue, done, 2, 0, &count));
    CHECK(count == (tag < 4 ? 2u : 1u));
    if (count == 0) break;
    for (size_t i = 0; i < count; i++) {
      uint64_t echoed = UINT64_MAX;
      CHECK(done[i].bytes == sizeof echoed);
      memcpy(&echoed, done[i].payload, sizeof echoed);
      CHECK(done[i].tag == tag + i && echoed == tag + i);
    }
  }
  end(&world); /* closes the queue, too */
}

void A_queue_that_is_closed_forgets_its_calls(void) {
  struct world world;
  struct clustix_queue* queue = NULL;
  struct clustix_call_id id;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue));
  for (int i = 0; i < 3; i++)
    CHECK_RESULT(CLUSTIX_OK, clustix_queue_call(queue, SERVER, PORT_ECHO, "ping", 4, NULL, 0, &id));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_close(queue));
  CHECK_ERROR(CLUSTIX_NOT_FOUND, "has ended", clustix_cancel(world.node, &id));
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  end(&world);
}

void A_new_queue_knows_nothing_of_the_calls_of_one_that_was_closed(void) {
  struct world world;
  struct clustix_queue* queue = NULL;
  struct clustix_call_id id;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_call(queue, SERVER, PORT_ECHO, "ping", 4, NULL, 0, &id));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_close(queue));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue)); /* may have its address */
  CHECK_ERROR(CLUSTIX_NOT_FOUND, "has ended", clustix_cancel(world.node, &id));
  CHECK(clustix_queue_outstanding(queue) == 0);
  end(&world);
}

void A_cancelled_call_stays_silent(void) {
  struct world world;
  struct told told = {0};
  struct clustix_call_id id;
  struct clustix_queue* queue = NULL;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_ECHO, "ping", 4, NULL,
                                              note_reply, &told, &id));
  CHECK_RESULT(CLUSTIX_OK, clustix_cancel(world.node, &id));
  CHECK_ERROR(CLUSTIX_NOT_FOUND, "has ended", clustix_cancel(world.node, &id));

  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue));
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_call(queue, SERVER, PORT_ECHO, "ping", 4, NULL, 7, &id));
  CHECK(clustix_queue_outstanding(queue) == 1);
  CHECK_RESULT(CLUSTIX_OK, clustix_cancel(world.node, &id));
  CHECK(clustix_queue_outstanding(queue) == 0);

  /* Answers come in order, so that theirs would have come before this one. */
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK(told.times == 0 && clustix_queue_outstanding(queue) == 0);
  end(&world);
}

void A_deadline_ends_a_call(void) {
  struct world world;
  struct clustix_call_options options = CLUSTIX_CALL_OPTIONS_INIT;
  struct clustix_reply reply;
  begin(&world);
  options.timeout_ms = 50;
  CHECK_RESULT(CLUSTIX_DEADLINE,
               clustix_call(world.node, SERVER, PORT_KEEP, "ping", 4, &options, &reply));
  CHECK(reply.result == CLUSTIX_DEADLINE && reply.bytes == 0);
  end(&world);
}

void The_status_of_a_handler_reaches_the_caller(void) {
  struct world world;
  struct clustix_reply reply;
  begin(&world);
  CHECK_RESULT(CLUSTIX_HANDLER_ERROR,
               clustix_call(world.node, SERVER, PORT_FAIL, NULL, 0, NULL, &reply));
  CHECK(reply.status == 13 && is_text(&reply, "because"));
  end(&world);
}

void A_port_without_handler_says_so(void) {
  struct world world;
  struct clustix_reply reply;
  begin(&world);
  CHECK_RESULT(CLUSTIX_NO_SUCH_PORT,
               clustix_call(world.node, SERVER, PORT_NOBODY, NULL, 0, NULL, &reply));
  end(&world);
}

void A_call_may_be_answered_later(void) {
  struct world world;
  struct told first = {0}, second = {0};
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_KEEP, NULL, 0, NULL,
                                              note_reply, &first, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_KEEP, NULL, 0, NULL,
                                              note_reply, &second, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK(first.times == 0 && second.times == 0);
  CHECK_RESULT(CLUSTIX_OK, clustix_send(world.node, SERVER, PORT_RELEASE, NULL, 0,
                                        CLUSTIX_LANE_CONTROL, NULL, NULL));
  run_until(world.node, &second.times, 1);
  CHECK(first.times == 1 && strcmp(first.text, "later") == 0);
  CHECK(second.times == 1 && strcmp(second.text, "later") == 0);
  end(&world);
}

void One_way_messages_arrive_in_order_on_each_lane(void) {
  enum { MESSAGES = 500 };
  struct world world;
  struct told told = {0};
  struct clustix_reply reply;
  uint32_t counted = 0;
  begin(&world);
  for (uint32_t i = 0; i < MESSAGES; i++)
    for (int lane = CLUSTIX_LANE_CONTROL; lane <= CLUSTIX_LANE_BULK; lane++)
      CHECK_RESULT(CLUSTIX_OK, clustix_send(world.node, SERVER, PORT_COUNT, &i, sizeof i, lane,
                                            note_sent, &told));
  run_until(world.node, &told.times, 2 * MESSAGES);
  CHECK_RESULT(CLUSTIX_OK, told.result);
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_COUNTED, NULL, 0, NULL, &reply));
  CHECK(reply.bytes == sizeof counted);
  memcpy(&counted, reply.payload, sizeof counted);
  CHECK(counted == 2 * MESSAGES && told.times == 2 * MESSAGES);
  end(&world);
}

void Large_payloads_are_sent_in_place(void) {
  enum { MESSAGES = 6, BYTES = 512 * 1024 };
  struct world world;
  struct told told = {0};
  struct clustix_reply reply;
  struct clustix_queue* queue = NULL;
  struct clustix_completion done[MESSAGES];
  size_t count = 0, harvested = 0;
  uint32_t counted = 0;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &queue));
  unsigned char* const payloads = calloc(2 * MESSAGES, BYTES);
  for (uint32_t i = 0; i < 2 * MESSAGES; i++) {
    unsigned char* const payload = payloads + (size_t)i * BYTES;
    memcpy(payload, &i, sizeof i);
    CHECK_RESULT(CLUSTIX_OK, i % 2 == 0
                                 ? clustix_send_in_place(world.node, SERVER, PORT_COUNT, payload,
                                                         BYTES, CLUSTIX_LANE_BULK, note_sent, &told)
                                 : clustix_queue_send_in_place(queue, SERVER, PORT_COUNT, payload,
                                                               BYTES, CLUSTIX_LANE_BULK, i));
  }
  for (; harvested < MESSAGES; harvested += count) {
    CHECK_RESULT(CLUSTIX_OK, clustix_queue_next(queue, done, MESSAGES, 20000, &count));
    if (count == 0) break;
    for (size_t i = 0; i < count; i++) {
      CHECK_RESULT(CLUSTIX_OK, done[i].result);
      CHECK(done[i].tag == 2 * (harvested + i) + 1);
    }
  }
  run_until(world.node, &told.times, MESSAGES);
  CHECK_RESULT(CLUSTIX_OK, told.result);
  free(payloads);
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_COUNTED, NULL, 0, NULL, &reply));
  CHECK(reply.bytes == sizeof counted);
  memcpy(&counted, reply.payload, sizeof counted);
  CHECK(counted == 2 * MESSAGES);
  end(&world);
}

void Unknown_peers_and_large_payloads_are_refused(void) {
  struct world world;
  struct told told = {0};
  begin(&world);
  const size_t bytes = clustix_max_payload(world.node) + 1;
  char* payload = calloc(1, bytes);
  CHECK(bytes > 1024 * 1024);
  CHECK_RESULT(CLUSTIX_TOO_LARGE, clustix_send(world.node, SERVER, PORT_ECHO, payload, bytes,
                                               CLUSTIX_LANE_BULK, note_sent, &told));
  CHECK_RESULT(CLUSTIX_TOO_LARGE,
               clustix_call(world.node, SERVER, PORT_ECHO, payload, bytes, NULL, NULL));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_call(world.node, 9, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_call_async(world.node, CLIENT, PORT_ECHO, NULL, 0,
                                                        NULL, note_reply, &told, NULL));
  CHECK(told.times == 0);
  free(payload);
  end(&world);
}

struct writable {
  int times;
  uint16_t peer;
  enum clustix_lane lane;
};

static void note_writable(uint16_t peer, enum clustix_lane lane, void* user) {
  struct writable* writable = user;
  writable->times++;
  writable->peer = peer;
  writable->lane = lane;
}

void A_full_queue_is_busy_and_later_writable(void) {
  enum { ROOM = 64 };
  struct server server;
  struct clustix_peer peer;
  struct clustix_options options;
  struct clustix_node* node = NULL;
  struct told told = {0};
  struct writable writable = {0};
  struct clustix_peer_info info = CLUSTIX_PEER_INFO_INIT;
  server_start(&server, "127.0.0.1:0");
  server_stop(&server); /* nobody is there, at an address that is known */
  options = client_options(server.address, &peer);
  options.queue_messages = ROOM;
  CHECK_RESULT(CLUSTIX_OK, clustix_open(&options, &node));
  CHECK_RESULT(CLUSTIX_OK, clustix_on_writable(node, note_writable, &writable));
  for (uint32_t i = 0; i < ROOM; i++)
    CHECK_RESULT(CLUSTIX_OK, clustix_send(node, SERVER, PORT_COUNT, &i, sizeof i, CLUSTIX_LANE_BULK,
                                          note_sent, &told));
  CHECK_RESULT(CLUSTIX_BUSY,
               clustix_send(node, SERVER, PORT_COUNT, NULL, 0, CLUSTIX_LANE_BULK, NULL, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_get_peer_info(node, SERVER, &info));
  CHECK(info.queued_messages == ROOM && info.queue_memory_bytes > 0 && info.incarnation == 0);
  CHECK(info.state == CLUSTIX_PEER_CONNECTING);
  CHECK_RESULT(CLUSTIX_TIMEOUT, clustix_run(node, 0));
  CHECK(writable.times == 0);

  server_start(&server, server.address);
  run_until(node, &writable.times, 1);
  CHECK(writable.peer == SERVER && writable.lane == CLUSTIX_LANE_BULK);
  run_until(node, &told.times, ROOM);
  CHECK_RESULT(CLUSTIX_OK, told.result);
  CHECK_RESULT(CLUSTIX_OK, clustix_close(node));
  server_stop(&server);
}

struct events {
  int count[CLUSTIX_EVENT_REBOOTED + 1];
};

static void note_event(uint16_t peer, enum clustix_event event, void* user) {
  struct events* events = user;
  CHECK(peer == SERVER);
  events->count[event]++;
}

void The_end_and_the_return_of_a_peer_are_told(void) {
  struct world world;
  struct events events = {{0}};
  struct told told = {0};
  struct clustix_call_options options = CLUSTIX_CALL_OPTIONS_INIT;
  struct clustix_peer_info before = CLUSTIX_PEER_INFO_INIT, after = CLUSTIX_PEER_INFO_INIT;
  begin(&world);
  CHECK_RESULT(CLUSTIX_OK, clustix_on_event(world.node, note_event, &events));
  run_until(world.node, &events.count[CLUSTIX_EVENT_UP], 1);
  CHECK_RESULT(CLUSTIX_OK, clustix_get_peer_info(world.node, SERVER, &before));
  CHECK(before.state == CLUSTIX_PEER_UP && before.incarnation != 0);

  /* A call that the peer has, and will never answer. */
  options.timeout_ms = 0;
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_KEEP, NULL, 0, &options,
                                              note_reply, &told, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  server_stop(&world.server);
  run_until(world.node, &events.count[CLUSTIX_EVENT_PATH_DOWN], 1);
  run_until(world.node, &events.count[CLUSTIX_EVENT_SUSPECT], 1);
  run_until(world.node, &events.count[CLUSTIX_EVENT_DEAD], 1);
  CHECK(told.times == 0);

  server_start(&world.server, world.server.address);
  run_until(world.node, &events.count[CLUSTIX_EVENT_REBOOTED], 1);
  run_until(world.node, &events.count[CLUSTIX_EVENT_UP], 2);
  CHECK(told.times == 1);
  CHECK_RESULT(CLUSTIX_UNKNOWN, told.result);
  CHECK_RESULT(CLUSTIX_OK, clustix_get_peer_info(world.node, SERVER, &after));
  CHECK(after.state == CLUSTIX_PEER_UP && after.incarnation != before.incarnation);
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  end(&world);
}

/* Runs while its node closes, when nothing can be begun any more. */
struct closing {
  struct clustix_node* node;
  struct clustix_queue* queue;
  struct told told;
};

static void note_reply_at_the_end(const struct clustix_reply* reply, void* user) {
  struct closing* closing = user;
  note_reply(reply, &closing->told);
  CHECK_ERROR(CLUSTIX_IN_CALLBACK, "clustix_close", clustix_close(closing->node));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_call_async(closing->node, SERVER, PORT_ECHO, NULL, 0,
                                                        NULL, note_reply, &closing->told, NULL));
  CHECK_RESULT(CLUSTIX_NO_SUCH_PEER, clustix_queue_send(closing->queue, SERVER, PORT_COUNT, NULL, 0,
                                                        CLUSTIX_LANE_BULK, 0));
}

static void never(void* user) { CHECK(user == NULL); }

void Closing_ends_what_is_pending(void) {
  struct world world;
  struct closing delivered = {0}, unsent = {0};
  struct told in_place = {0};
  begin(&world);
  delivered.node = unsent.node = world.node;
  CHECK_RESULT(CLUSTIX_OK, clustix_queue_open(world.node, &delivered.queue));
  unsent.queue = delivered.queue;
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_KEEP, NULL, 0, NULL,
                                              note_reply_at_the_end, &delivered, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_call(world.node, SERVER, PORT_ECHO, NULL, 0, NULL, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_call_async(world.node, SERVER, PORT_ECHO, NULL, 0, NULL,
                                              note_reply_at_the_end, &unsent, NULL));
  CHECK_RESULT(CLUSTIX_OK, clustix_post(world.node, never, &world));
  CHECK_RESULT(CLUSTIX_OK, clustix_send_in_place(world.node, SERVER, PORT_KEEP, "x", 1,
                                                 CLUSTIX_LANE_BULK, note_sent, &in_place));
  end(&world);
  CHECK(in_place.times == 1 && in_place.result != CLUSTIX_OK);
  CHECK(delivered.told.times == 1 && unsent.told.times == 1);
  CHECK_RESULT(CLUSTIX_UNKNOWN, delivered.told.result);
  CHECK_RESULT(CLUSTIX_NOT_DELIVERED, unsent.told.result);
}
