// SPDX-License-Identifier: Apache-2.0
//
// A port that this process serves through the kernel module: an open /dev/kccm, and the ring that
// the module fills with messages (include/uapi/kccm.h). Belongs to the loop's thread.
#ifndef CLUSTIX_LIB_MSG_KCCM_PORT_H_
#define CLUSTIX_LIB_MSG_KCCM_PORT_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "include/uapi/kccm.h"
#include "lib/base/unique_fd.h"
#include "lib/io/device_io.h"

namespace clustix::msg {

// A command with its arguments, as it travels in the submission entry.
io::CommandPayload KccmArguments(const void* arguments, size_t bytes);
// Opens the device in the namespace of the calling thread.
absl::StatusOr<base::UniqueFd> OpenKccm();

class KccmPort final : public io::DeviceHandler {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // False: there is nobody to take it; it stays, and Drain() tries again. The payload is valid
    // during the call, which may close the port.
    virtual bool OnMessage(KccmPort& port, const kccm_uring_descriptor& message, Bytes payload) = 0;
    // A command that was submitted to device() has ended.
    virtual void OnPortCommand(uint32_t tag, int result) = 0;
    // Close() has come to its end: the port is free, and this may be destroyed after the call.
    virtual void OnPortClosed(KccmPort& port) = 0;
  };

  // Makes the ring; from now on messages to the port are kept in it. kFailedPrecondition with
  // "in use" if somebody serves the port.
  static absl::StatusOr<std::unique_ptr<KccmPort>> Bind(Port port);
  ~KccmPort() override;
  KccmPort(const KccmPort&) = delete;
  KccmPort& operator=(const KccmPort&) = delete;

  // From now on messages are handed to `owner`. `id` is the owner's; `pump_tag` is a tag that no
  // command of the owner has.
  void Start(io::DeviceIo& io, Owner* owner, uint32_t id, uint32_t pump_tag);
  // Hands out what is in the ring, up to a bound for each turn; the rest follows.
  void Drain();
  // No message any more. OnPortClosed() follows when no command is in flight. Before Start(), it is
  // enough to destroy it.
  void Close();

  Port port() const { return port_; }
  uint32_t id() const { return id_; }
  bool closing() const { return closing_; }
  // The module has found what this process wrote into the ring impossible.
  bool broken() const { return broken_; }
  io::DeviceId device() const { return device_; }

  void OnCommand(uint32_t tag, int result) override;
  void OnEvents(uint32_t events) override;
  void OnDetached() override { owner_->OnPortClosed(*this); }

 private:
  explicit KccmPort(Port port) : port_(port) {}
  absl::Status Map(size_t bytes);
  void DrainLater();
  void PumpIfStalled();

  const Port port_;
  base::UniqueFd fd_;
  const std::byte* shared_ = nullptr;  // a kccm_uring_ring, descriptors, payloads
  size_t shared_bytes_ = 0;
  uint32_t* shared_consumed_ = nullptr;
  uint32_t consumed_ = 0;

  io::DeviceIo* io_ = nullptr;
  io::DeviceId device_ = 0;
  Owner* owner_ = nullptr;
  uint32_t id_ = 0;
  uint32_t pump_tag_ = 0;
  bool pumping_ = false;
  bool draining_ = false;
  bool drain_pending_ = false;
  bool closing_ = false;
  bool broken_ = false;
  // What a task of the loop looks at before it touches this object, which may be gone by then.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_KCCM_PORT_H_
