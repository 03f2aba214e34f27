/* SPDX-License-Identifier: Apache-2.0
 *
 * The request `signal` of proto/admin.capnp and its reply, byte by byte: for libclustix-kill.so,
 * which stands in for kill(2) in programs of all kinds. There, nothing may allocate, lock or pull
 * in a library. Any thread, and signal handlers. A test compares the bytes with those of the
 * schema.
 */
#ifndef CLUSTIX_LIB_CLIENT_SIGNAL_WIRE_H_
#define CLUSTIX_LIB_CLIENT_SIGNAL_WIRE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of a whole request and of a whole reply, with the length that goes before each. */
#define CLUSTIX_SIGNAL_REQUEST_BYTES 52
#define CLUSTIX_SIGNAL_REPLY_BYTES 36

void clustix_signal_request(uint8_t request[CLUSTIX_SIGNAL_REQUEST_BYTES], int32_t gpid,
                            int32_t signal);

/* What the caller of kill(2) is told by the first `bytes` of a reply: 0, ESRCH, EPERM or EINVAL as
 * of kill(2); EHOSTDOWN: certainly not delivered; ETIMEDOUT: nobody knows, which is also what a
 * reply says that is none.
 */
int clustix_signal_error(const uint8_t reply[CLUSTIX_SIGNAL_REPLY_BYTES], size_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* CLUSTIX_LIB_CLIENT_SIGNAL_WIRE_H_ */
