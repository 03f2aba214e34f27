// SPDX-License-Identifier: Apache-2.0
// Messages through the kernel module, with liburing alone: include/uapi/kccm.h explains it.
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "include/uapi/kccm.h"

enum { kPoll = 1, kCommand };
static const char usage[] =
    "usage: kccm_ring serve PORT           prints messages, answers calls with what they carry\n"
    "       kccm_ring call NODE PORT TEXT  calls it and prints the answer\n"
    "       kccm_ring send NODE PORT TEXT  sends it a message, and waits until the node has it\n";
static struct io_uring uring;
static int device, polling;

static int check(int result, const char* what) {
  if (result >= 0) return result;
  fprintf(stderr, "kccm_ring: %s: %s\n", what, strerror(-result));
  exit(1);
}

// Waits for a completion of this kind; the other kind may come first.
static int await(unsigned long kind) {
  for (;;) {
    struct io_uring_cqe* end;
    check(io_uring_wait_cqe(&uring, &end), "wait");
    const struct io_uring_cqe copy = *end;
    io_uring_cqe_seen(&uring, end);
    if (copy.user_data == kPoll) polling = copy.flags & IORING_CQE_F_MORE;
    if (copy.user_data == kind) return copy.res;
  }
}

static int command(unsigned op, void* arguments, unsigned bytes) {
  const struct kccm_uring_cmd where = {.args = (__u64)arguments, .args_bytes = bytes};
  struct io_uring_sqe* entry = io_uring_get_sqe(&uring);
  io_uring_prep_rw(IORING_OP_URING_CMD, entry, device, NULL, 0, 0);
  entry->cmd_op = op;
  entry->user_data = kCommand;
  memcpy(entry->cmd, &where, sizeof(where));
  check(io_uring_submit(&uring), "submit");
  return await(kCommand);
}

static void serve(unsigned port) {
  struct kccm_uring_bind bind = {.port = port, .entries = 1024, .arena_bytes = 4 << 20};
  check(command(KCCM_URING_BIND, &bind, sizeof(bind)), "bind");
  char* shared = mmap(NULL, bind.ring_bytes, PROT_READ, MAP_SHARED, device, KCCM_MMAP_RING);
  __u32* consumed = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, device, KCCM_MMAP_CONSUMED);
  if (shared == MAP_FAILED || consumed == MAP_FAILED) check(-errno, "mmap");
  const struct kccm_uring_ring* ring = (const void*)shared;
  const struct kccm_uring_descriptor* messages = (const void*)(shared + ring->descriptors_offset);
  for (__u32 done = 0;; check(await(kPoll), "poll")) {
    if (!polling) {  // one poll tells of all messages to come, until it has to be repeated
      struct io_uring_sqe* entry = io_uring_get_sqe(&uring);
      io_uring_prep_poll_multishot(entry, device, POLLIN);
      entry->user_data = kPoll;
      polling = check(io_uring_submit(&uring), "submit");
    }
    while (done != __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE)) {
      const struct kccm_uring_descriptor* message = &messages[done % ring->entries];
      char* payload = shared + ring->arena_offset + message->offset;
      printf("node %u: %.*s\n", message->from, (int)message->length, payload);
      fflush(stdout);
      struct kccm_uring_reply reply = {.request = message->request, .length = message->length};
      reply.payload = (__u64)payload;
      if (message->flags & KCCM_MESSAGE_WANTS_REPLY)
        command(KCCM_URING_REPLY, &reply, sizeof(reply));
      __atomic_store_n(consumed, ++done, __ATOMIC_SEQ_CST);
      if (__atomic_load_n(&ring->flags, __ATOMIC_SEQ_CST) & KCCM_RING_STALLED)
        check(command(KCCM_URING_PUMP, NULL, 0), "pump");
    }
  }
}

int main(int argc, char** argv) {
  static char answer[4096];
  const int serves = argc == 3 && !strcmp(argv[1], "serve");
  const int sends = argc == 5 && !strcmp(argv[1], "send");
  if (!serves && !sends && (argc != 5 || strcmp(argv[1], "call"))) return fputs(usage, stderr), 2;
  if ((device = open("/dev/kccm", O_RDWR | O_CLOEXEC)) < 0) check(-errno, "/dev/kccm");
  check(io_uring_queue_init(64, &uring, 0), "io_uring");
  if (serves) serve((unsigned)atoi(argv[2]));
  struct kccm_uring_call call = {.reply = (__u64)answer, .reply_room = sizeof(answer)};
  call.request = (struct kccm_uring_send){
      .node = atoi(argv[2]), .port = atoi(argv[3]), .payload = (__u64)argv[4], .timeout_ms = 10000};
  call.request.length = strlen(argv[4]);
  if (sends) call.request.flags = KCCM_URING_CONFIRM;
  if (sends) return check(command(KCCM_URING_SEND, &call.request, sizeof(call.request)), "send");
  printf("%.*s\n", check(command(KCCM_URING_CALL, &call, sizeof(call)), "call"), answer);
  return call.status != 0;
}
