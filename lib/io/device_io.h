// SPDX-License-Identifier: Apache-2.0
//
// Commands to a device (IORING_OP_URING_CMD), and events of any descriptor that poll(2) knows.
// Beside Io, because what the device is asked to do means nothing to a loop or to the simulator.
//
// Everything here belongs to the loop's thread. No callback runs inside the call that caused it.
#ifndef CLUSTIX_LIB_IO_DEVICE_IO_H_
#define CLUSTIX_LIB_IO_DEVICE_IO_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "lib/io/io.h"

namespace clustix::io {

// A descriptor that was attached. Never reused within one DeviceIo.
using DeviceId = uint32_t;

// What travels in the submission entry; the device says what it means.
using CommandPayload = std::array<std::byte, 16>;

class DeviceHandler {
 public:
  virtual ~DeviceHandler() = default;
  // A command has ended with this result, a negative errno on failure.
  virtual void OnCommand(uint32_t tag, int result) = 0;
  // Something that Watch() asked for has happened since the last time: POLL* of poll(2). Whoever
  // leaves something behind is not told again.
  virtual void OnEvents(uint32_t events) = 0;
  // The descriptor was detached and nothing of it is in flight: the last call. From now on it may
  // be closed, and the memory that commands work on freed.
  virtual void OnDetached() = 0;
};

class DeviceIo {
 public:
  virtual ~DeviceIo() = default;
  virtual Loop& loop() = 0;

  // `fd` stays the caller's, and open until OnDetached(); `handler` must live as long.
  virtual DeviceId Attach(int fd, DeviceHandler* handler) = 0;
  // Commands are handed to the kernel together, in this order, at the end of the turn. What the
  // payload points to must stay valid until OnCommand(), which gets `tag`; no two commands of a
  // device in flight may have the same.
  virtual void Submit(DeviceId device, uint32_t op, const CommandPayload& payload,
                      uint32_t tag) = 0;
  // Tells OnEvents() of these events. Once for a device.
  virtual void Watch(DeviceId device, uint32_t events) = 0;
  // No OnEvents() any more. Commands in flight end by themselves, and are reported; OnDetached()
  // follows.
  virtual void Detach(DeviceId device) = 0;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_DEVICE_IO_H_
