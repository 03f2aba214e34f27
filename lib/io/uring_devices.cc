// SPDX-License-Identifier: Apache-2.0
#include "lib/io/uring_devices.h"

#include <cassert>
#include <cerrno>
#include <cstring>

#include "lib/base/log.h"

namespace clustix::io {
namespace {

// A command's id is its device's and, below, its tag: with the ring's 8 bits, 64.
constexpr unsigned kTagBits = 32;
constexpr DeviceId kDevicesMax = (1u << 24) - 1;

}  // namespace

DeviceId UringDevices::Attach(int fd, DeviceHandler* handler) {
  assert(next_device_ <= kDevicesMax);
  devices_.emplace(next_device_, Device{.fd = fd, .handler = handler});
  return next_device_++;
}

void UringDevices::Submit(DeviceId id, uint32_t op, const CommandPayload& payload, uint32_t tag) {
  Device& device = devices_.at(id);
  assert(!device.detached);
  ++device.commands;
  ring_.Queue(Op::kCommand, uint64_t{id} << kTagBits | tag, [&](io_uring_sqe* sqe) {
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, device.fd, nullptr, 0, 0);
    sqe->cmd_op = op;
    std::memcpy(sqe->cmd, payload.data(), payload.size());
  });
}

void UringDevices::Watch(DeviceId id, uint32_t events) {
  Device& device = devices_.at(id);
  assert(device.events == 0 && !device.detached);
  device.events = events;
  Poll(id, device);
}

void UringDevices::Poll(DeviceId id, Device& device) {
  device.polling = true;
  ring_.Queue(Op::kEvents, id, [&](io_uring_sqe* sqe) {
    io_uring_prep_poll_multishot(sqe, device.fd, device.events);
  });
}

void UringDevices::Detach(DeviceId id) {
  Device& device = devices_.at(id);
  if (device.detached) return;
  device.detached = true;
  if (device.polling) ring_.QueueCancel(Op::kEvents, id);
  FinishIfIdle(id, device);
}

void UringDevices::FinishIfIdle(DeviceId id, Device& device) {
  if (!device.detached || device.commands > 0 || device.polling || device.finishing) return;
  device.finishing = true;
  loop_.Defer([this, id] { devices_.extract(id).mapped().handler->OnDetached(); });
}

bool UringDevices::IsToEnd(uint64_t id) const {
  const auto found = devices_.find(static_cast<DeviceId>(id));
  return found != devices_.end() && found->second.detached && found->second.polling;
}

void UringDevices::OnCompletion(const Completion& completion) {
  const bool command = completion.op == Op::kCommand;
  const auto id = static_cast<DeviceId>(command ? completion.id >> kTagBits : completion.id);
  // There until nothing of it is in flight, and its place does not move.
  Device& device = devices_.at(id);
  if (command) {
    --device.commands;
    device.handler->OnCommand(static_cast<uint32_t>(completion.id), completion.result);
  } else {
    if (!completion.more()) device.polling = false;
    if (!device.detached && completion.result > 0) {
      device.handler->OnEvents(static_cast<uint32_t>(completion.result));
    }
    // It ends when the completion queue was full, and begins with what there is by then.
    if (!device.detached && !device.polling && completion.result >= 0) Poll(id, device);
    if (!device.detached && completion.result < 0) {
      base::Log(base::LogLevel::kError, "io", "a device cannot be polled",
                {{"fd", device.fd}, {"error", strerror(-completion.result)}});
    }
  }
  FinishIfIdle(id, device);
}

}  // namespace clustix::io
