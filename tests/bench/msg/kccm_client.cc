// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/msg/kccm_client.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "lib/base/status.h"
#include "tests/bench/msg/kccm_port.h"
#include "tests/bench/msg/library_peer.h"

namespace clustix::bench {
namespace {

constexpr unsigned kEntries = 1024;
constexpr uint32_t kTimeoutMs = 30'000;
constexpr size_t kControlBytes = 32 * 1024;  // larger ones go on the bulk lane

uint8_t LaneFor(size_t size_bytes) {
  return size_bytes <= kControlBytes ? KCCM_LANE_CONTROL : KCCM_LANE_BULK;
}

class KccmClient final : public Client {
 public:
  explicit KccmClient(KccmService service) : service_(service) {}

  absl::Status Connect(const PeerOptions& options) override {
    unsigned node = 0;
    if (!absl::SimpleAtoi(options.address, &node) || node > KCCM_NODE_MAX) {
      return absl::InvalidArgumentError("the address of a node is its id: " + options.address);
    }
    node_ = static_cast<uint16_t>(node);
    ASSIGN_OR_RETURN(fd_, OpenKccm());
    ASSIGN_OR_RETURN(uring_, KccmUring::Make(kEntries));
    return absl::OkStatus();
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    return what.mode == Mode::kOneway ? Stream(what.size_bytes, meter)
                                      : Calls(what.size_bytes, WindowOf(what), meter);
  }

 private:
  struct Slot {
    kccm_uring_call call = {};
    uint64_t number = 0;
    uint64_t begin = 0;
    std::vector<char> payload, answer;
  };

  kccm_uring_send MakeSend(unsigned port, const std::vector<char>& payload, uint8_t lane) const {
    kccm_uring_send send = {};
    send.payload = reinterpret_cast<uint64_t>(payload.data());
    send.length = static_cast<uint32_t>(payload.size());
    send.node = node_;
    send.port = static_cast<uint16_t>(port);
    send.lane = lane;
    send.timeout_ms = kTimeoutMs;
    return send;
  }

  void Prepare(Slot& slot, unsigned port, size_t size_bytes, uint8_t lane) {
    slot.payload.assign(size_bytes, 'p');
    slot.answer.resize(std::max(size_bytes, sizeof(uint64_t)));
    slot.call.request = MakeSend(port, slot.payload, lane);
    slot.call.reply = reinterpret_cast<uint64_t>(slot.answer.data());
    slot.call.reply_room = static_cast<uint32_t>(slot.answer.size());
  }

  void Submit(Slot& slot, uint64_t user_data) {
    uring_->QueueCall(fd_.get(), slot.call, user_data);
  }

  absl::Status Calls(size_t size_bytes, size_t window, Meter& meter) {
    std::vector<Slot> slots(window);
    std::vector<size_t> idle, refused;
    for (size_t i = 0; i < window; ++i) {
      Prepare(slots[i], service_.echo_port, size_bytes, LaneFor(size_bytes));
      idle.push_back(i);
    }
    uint64_t number = 0;
    absl::Status status;
    const auto take = [&](uint64_t i, int result, bool) {
      Slot& slot = slots[i];
      if (result == -EAGAIN) {
        refused.push_back(i);
        return;
      }
      idle.push_back(i);
      if (!status.ok()) return;
      if (result < 0) {
        status = base::ErrnoStatus(-result, "call");
        return;
      }
      status = CheckEcho(slot.answer.data(), static_cast<size_t>(result), size_bytes, slot.number);
      meter.End(slot.begin);
    };
    for (;;) {
      // What found no room goes first, when there was an answer, and with it room.
      for (size_t i : std::exchange(refused, {})) Submit(slots[i], i);
      while (!idle.empty() && status.ok() && meter.running()) {
        const size_t i = idle.back();
        idle.pop_back();
        slots[i].begin = meter.Begin();
        slots[i].number = number++;
        StampPayload(slots[i].payload.data(), size_bytes, slots[i].number);
        Submit(slots[i], i);
      }
      if (idle.size() == window) return status;
      RETURN_IF_ERROR(uring_->Submit(1));
      uring_->Reap(take);
    }
  }

  // Through the counter: the answer comes after all that was sent before.
  absl::StatusOr<uint64_t> Count(uint8_t lane) {
    Slot slot;
    Prepare(slot, service_.counter_port, 0, lane);
    Submit(slot, 0);
    RETURN_IF_ERROR(uring_->Submit(1));
    int result = 0;
    uring_->Reap([&](uint64_t, int end, bool) { result = end; });
    if (result != sizeof(uint64_t)) {
      return base::ErrnoStatus(result < 0 ? -result : EPROTO, "the counter's answer");
    }
    uint64_t count = 0;
    std::memcpy(&count, slot.answer.data(), sizeof(count));
    return count;
  }

  absl::Status Stream(size_t size_bytes, Meter& meter) {
    const uint8_t lane = LaneFor(size_bytes);
    ASSIGN_OR_RETURN(const uint64_t before, Count(lane));
    absl::StatusOr<uint64_t> sent = size_bytes <= KCCM_URING_MANY_BYTES_MAX / 2
                                        ? SendBatches(size_bytes, lane, meter)
                                        : SendSingly(size_bytes, lane, meter);
    RETURN_IF_ERROR(sent.status());
    ASSIGN_OR_RETURN(const uint64_t after, Count(lane));
    RETURN_IF_ERROR(CheckCount(after - before, *sent));
    meter.End(0, *sent);
    return absl::OkStatus();
  }

  // As many as fit into one command, each with a payload of its own. How many were taken.
  absl::StatusOr<uint64_t> SendBatches(size_t size_bytes, uint8_t lane, Meter& meter) {
    const size_t count =
        std::min<size_t>(KCCM_URING_MANY_MAX, KCCM_URING_MANY_BYTES_MAX / size_bytes);
    const std::vector<char> payloads(count * size_bytes, 'p');
    std::vector<kccm_uring_message> messages(count);
    for (size_t i = 0; i < count; ++i) {
      messages[i].offset = static_cast<uint32_t>(i * size_bytes);
      messages[i].length = static_cast<uint32_t>(size_bytes);
      messages[i].node = node_;
      messages[i].port = static_cast<uint16_t>(service_.counter_port);
      messages[i].lane = lane;
    }
    kccm_uring_send_many batch = {};
    batch.messages = reinterpret_cast<uint64_t>(messages.data());
    batch.payloads = reinterpret_cast<uint64_t>(payloads.data());
    batch.payload_bytes = static_cast<uint32_t>(payloads.size());
    batch.count = static_cast<uint32_t>(count);
    uint64_t sent = 0;
    while (meter.running()) {
      uring_->Queue(fd_.get(), KCCM_URING_SEND_MANY, &batch, sizeof(batch), 0);
      RETURN_IF_ERROR(uring_->Submit(1));
      int result = 0;
      uring_->Reap([&](uint64_t, int end, bool) { result = end; });
      if (result < 0 && result != -EAGAIN) return base::ErrnoStatus(-result, "send");
      sent += static_cast<uint64_t>(std::max(result, 0));
      if (result < static_cast<int>(count)) RETURN_IF_ERROR(AwaitRoom());
    }
    return sent;
  }

  absl::StatusOr<uint64_t> SendSingly(size_t size_bytes, uint8_t lane, Meter& meter) {
    const std::vector<char> payload(size_bytes, 'p');
    kccm_uring_send send = MakeSend(service_.counter_port, payload, lane);
    uint64_t sent = 0;
    while (meter.running()) {
      uring_->QueueSend(fd_.get(), send, 0);
      ++sent;
      RETURN_IF_ERROR(uring_->Submit(0));
      int result = 0;
      uring_->Reap([&](uint64_t, int end, bool) { result = end; });
      if (result < 0) --sent;
      if (result == -EAGAIN)
        RETURN_IF_ERROR(AwaitRoom());
      else if (result < 0)
        return base::ErrnoStatus(-result, "send");
    }
    return sent;
  }

  absl::Status AwaitRoom() {
    pollfd entry = {fd_.get(), POLLOUT, 0};
    if (poll(&entry, 1, kPatienceMs) == 1) return absl::OkStatus();
    return absl::DeadlineExceededError("there is no room for more messages");
  }

  const KccmService service_;
  uint16_t node_ = 0;
  base::UniqueFd fd_;
  std::unique_ptr<KccmUring> uring_;
};

}  // namespace

std::unique_ptr<Client> MakeKccmClient(KccmService service) {
  return std::make_unique<KccmClient>(service);
}

}  // namespace clustix::bench
