/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/client/signal_wire.h"

#include <errno.h>
#include <string.h>

/* Messages of one segment, as Cap'n Proto lays out these structs: the number of segments less one
 * and the words of this one, a pointer to the root struct, and the struct. All little endian.
 */
static void put32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = (uint8_t)(value >> (8 * i));
}

void clustix_signal_request(uint8_t request[CLUSTIX_SIGNAL_REQUEST_BYTES], int32_t gpid,
                            int32_t signal) {
  static const uint8_t head[36] = {
      48, 0, 0, 0,             /* the length of what follows */
      0,  0, 0, 0, 5, 0, 0, 0, /* one segment of 5 words */
      0,  0, 0, 0, 1, 0, 1, 0, /* AdminRequest: a word of data and a pointer */
      4,  0, 0, 0, 0, 0, 0, 0, /* its union holds `signal` */
      0,  0, 0, 0, 2, 0, 0, 0, /* Signal: two words of data */
  };
  memcpy(request, head, sizeof(head));
  put32(request + 36, (uint32_t)gpid);
  put32(request + 40, (uint32_t)signal);
  memset(request + 44, 0, 8); /* startTicks: whoever has the pid, as kill(2) takes it */
}

int clustix_signal_error(const uint8_t reply[CLUSTIX_SIGNAL_REPLY_BYTES], size_t bytes) {
  static const uint8_t head[] = {
      32, 0, 0, 0,             /* the length of what follows */
      0,  0, 0, 0, 3, 0, 0, 0, /* one segment of 3 words */
      0,  0, 0, 0, 1, 0, 1, 0, /* AdminReply: a word of data and a pointer */
      4,  0,                   /* its union holds `signal`, and the outcome is next */
  };
  /* By SignalOutcome. */
  static const int errors[] = {0, ESRCH, EPERM, EINVAL, EHOSTDOWN, ETIMEDOUT};
  /* Of an AdminReply that holds `error`, whatever its length; then nothing was sent. */
  if (bytes >= 22 && memcmp(reply + 12, head + 12, 8) == 0 && reply[20] == 0 && reply[21] == 0) {
    return EHOSTDOWN;
  }
  if (bytes < CLUSTIX_SIGNAL_REPLY_BYTES || memcmp(reply, head, sizeof(head)) != 0) {
    return ETIMEDOUT;
  }
  const unsigned outcome = reply[22] | (unsigned)reply[23] << 8;
  return outcome < sizeof(errors) / sizeof(errors[0]) ? errors[outcome] : ETIMEDOUT;
}
