// SPDX-License-Identifier: Apache-2.0
//
// The devices of a UringIo: see device_io.h. A completion finds its device by an id that is never
// reused, and a device is forgotten in a deferred task, never within its handler.
#ifndef CLUSTIX_LIB_IO_URING_DEVICES_H_
#define CLUSTIX_LIB_IO_URING_DEVICES_H_

#include <unordered_map>

#include "lib/io/device_io.h"
#include "lib/io/uring_loop.h"

namespace clustix::io {

class UringDevices {
 public:
  explicit UringDevices(UringLoop& loop) : loop_(loop), ring_(loop.ring()) {}

  DeviceId Attach(int fd, DeviceHandler* handler);
  void Submit(DeviceId device, uint32_t op, const CommandPayload& payload, uint32_t tag);
  void Watch(DeviceId device, uint32_t events);
  void Detach(DeviceId device);

  // Completions of Op::kCommand and Op::kEvents.
  void OnCompletion(const Completion& completion);
  // Whether the poll with this id is in flight although its owner has detached the device.
  bool IsToEnd(uint64_t id) const;

 private:
  struct Device {
    int fd;
    DeviceHandler* handler;
    uint32_t events = 0;
    uint32_t commands = 0;  // in flight
    bool polling = false;
    bool detached = false;
    bool finishing = false;  // OnDetached() is deferred
  };

  void Poll(DeviceId id, Device& device);
  void FinishIfIdle(DeviceId id, Device& device);

  UringLoop& loop_;
  UringRing& ring_;
  std::unordered_map<DeviceId, Device> devices_;
  DeviceId next_device_ = 1;
};

}  // namespace clustix::io

#endif  // CLUSTIX_LIB_IO_URING_DEVICES_H_
