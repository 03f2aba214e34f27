// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_port.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/status.h"
#include "lib/io/uring_command.h"

namespace clustix::msg {
namespace {

constexpr uint32_t kEntries = 4096;
constexpr uint32_t kArenaBytes = 4 * 1024 * 1024;
constexpr size_t kConsumedBytes = 4096;
// What one turn hands out: others are waiting, too.
constexpr uint32_t kTurnMessages = 256;
constexpr size_t kTurnBytes = 256 * 1024;

}  // namespace

io::CommandPayload KccmArguments(const void* arguments, size_t bytes) {
  const kccm_uring_cmd command = {.args = reinterpret_cast<uint64_t>(arguments),
                                  .args_bytes = static_cast<uint32_t>(bytes),
                                  .zero = 0};
  return std::bit_cast<io::CommandPayload>(command);
}

absl::StatusOr<base::UniqueFd> OpenKccm() {
  base::UniqueFd fd(open("/dev/kccm", O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "/dev/kccm");
  return fd;
}

absl::StatusOr<std::unique_ptr<KccmPort>> KccmPort::Bind(Port number) {
  std::unique_ptr<KccmPort> port(new KccmPort(number));
  ASSIGN_OR_RETURN(port->fd_, OpenKccm());
  kccm_uring_bind bind = {
      .port = number, .entries = kEntries, .arena_bytes = kArenaBytes, .ring_bytes = 0};
  const int result =
      io::RunDeviceCommand(port->fd_.get(), KCCM_URING_BIND, KccmArguments(&bind, sizeof bind));
  if (result < 0) return base::ErrnoStatus(-result, absl::StrCat("port ", number, " of kccm"));
  RETURN_IF_ERROR(port->Map(bind.ring_bytes));
  return port;
}

absl::Status KccmPort::Map(size_t bytes) {
  void* shared = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd_.get(), KCCM_MMAP_RING);
  if (shared == MAP_FAILED) return base::ErrnoStatus(errno, "the ring of kccm");
  shared_ = static_cast<const std::byte*>(shared);
  shared_bytes_ = bytes;
  void* consumed = mmap(nullptr, kConsumedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(),
                        KCCM_MMAP_CONSUMED);
  if (consumed == MAP_FAILED) return base::ErrnoStatus(errno, "the ring of kccm");
  shared_consumed_ = static_cast<uint32_t*>(consumed);
  return absl::OkStatus();
}

KccmPort::~KccmPort() {
  *alive_ = false;
  if (shared_consumed_ != nullptr) munmap(shared_consumed_, kConsumedBytes);
  if (shared_ != nullptr) munmap(const_cast<std::byte*>(shared_), shared_bytes_);
}

void KccmPort::Start(io::DeviceIo& io, Owner* owner, uint32_t id, uint32_t pump_tag) {
  io_ = &io;
  owner_ = owner;
  id_ = id;
  pump_tag_ = pump_tag;
  device_ = io.Attach(fd_.get(), this);
  io.Watch(device_, POLLIN);
}

void KccmPort::Close() {
  if (std::exchange(closing_, true)) return;
  io_->Detach(device_);
}

void KccmPort::OnEvents(uint32_t events) {
  if ((events & POLLERR) != 0 && !broken_) {
    broken_ = true;
    base::Log(base::LogLevel::kError, "msg",
              "the ring of a port is broken; it is made anew, and calls that it held are given up",
              {{"port", port_}});
    Close();
    return;
  }
  Drain();
}

void KccmPort::OnCommand(uint32_t tag, int result) {
  if (tag != pump_tag_) {
    owner_->OnPortCommand(tag, result);
    return;
  }
  pumping_ = false;
  Drain();  // what the pump has brought, unless poll has told of it
}

// A handler may call what leads here again, or close the port.
void KccmPort::Drain() {
  if (closing_ || draining_) return;
  draining_ = true;
  const auto* ring = reinterpret_cast<const kccm_uring_ring*>(shared_);
  const auto* descriptors =
      reinterpret_cast<const kccm_uring_descriptor*>(shared_ + ring->descriptors_offset);
  uint32_t messages = 0;
  size_t bytes = 0;
  bool taken = true;
  while (!closing_ && consumed_ != __atomic_load_n(&ring->produced, __ATOMIC_ACQUIRE)) {
    if (messages == kTurnMessages || bytes >= kTurnBytes) {
      DrainLater();
      break;
    }
    const kccm_uring_descriptor message = descriptors[consumed_ % ring->entries];
    taken = owner_->OnMessage(*this, message,
                              {shared_ + ring->arena_offset + message.offset, message.length});
    if (!taken) break;
    ++messages;
    bytes += message.length;
    ++consumed_;
    __atomic_store_n(shared_consumed_, consumed_, __ATOMIC_RELEASE);
  }
  draining_ = false;
  if (taken) PumpIfStalled();
}

void KccmPort::DrainLater() {
  if (std::exchange(drain_pending_, true)) return;
  io_->loop().AtEndOfTurn([this, alive = alive_] {
    if (!*alive) return;
    // The end of this turn: others have their turn before the next.
    io_->loop().AtEndOfTurn([this, alive] {
      if (!*alive) return;
      drain_pending_ = false;
      Drain();
    });
  });
}

// The module sets the flag and then looks at what is consumed, we the other way round: one of the
// two sees the other.
void KccmPort::PumpIfStalled() {
  const auto* ring = reinterpret_cast<const kccm_uring_ring*>(shared_);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (closing_ || pumping_) return;
  if ((__atomic_load_n(&ring->flags, __ATOMIC_RELAXED) & KCCM_RING_STALLED) == 0) return;
  pumping_ = true;
  io_->Submit(device_, KCCM_URING_PUMP, KccmArguments(nullptr, 0), pump_tag_);
}

}  // namespace clustix::msg
