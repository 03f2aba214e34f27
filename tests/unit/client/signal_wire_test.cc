// SPDX-License-Identifier: Apache-2.0
#include "lib/client/signal_wire.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "proto/admin.capnp.h"
#include "proto/message.h"

namespace clustix::client {
namespace {

std::vector<uint8_t> Framed(capnp::MessageBuilder& message) {
  const std::vector<std::byte> body = proto::WriteMessage(message);
  std::vector<uint8_t> bytes = {static_cast<uint8_t>(body.size()),
                                static_cast<uint8_t>(body.size() >> 8), 0, 0};
  for (std::byte byte : body) bytes.push_back(static_cast<uint8_t>(byte));
  return bytes;
}

int ErrorOf(std::vector<uint8_t> bytes) {
  const size_t received = std::min<size_t>(bytes.size(), CLUSTIX_SIGNAL_REPLY_BYTES);
  bytes.resize(CLUSTIX_SIGNAL_REPLY_BYTES);  // no more is read of a longer one
  return clustix_signal_error(bytes.data(), received);
}

TEST(SignalWire, Writes_the_request_as_the_schema_has_it) {
  for (auto [gpid, number] : {std::pair(8388630, 15), {2147483647, 64}, {4194305, 0}}) {
    capnp::MallocMessageBuilder message;
    auto signal = message.initRoot<proto::AdminRequest>().initSignal();
    signal.setGpid(gpid);
    signal.setSignal(number);
    std::vector<uint8_t> written(CLUSTIX_SIGNAL_REQUEST_BYTES, 0xff);
    clustix_signal_request(written.data(), gpid, number);
    EXPECT_EQ(written, Framed(message));
  }
}

TEST(SignalWire, Tells_every_outcome_as_an_errno) {
  const std::pair<proto::SignalOutcome, int> outcomes[] = {
      {proto::SignalOutcome::DELIVERED, 0},
      {proto::SignalOutcome::NO_SUCH_PROCESS, ESRCH},
      {proto::SignalOutcome::DENIED, EPERM},
      {proto::SignalOutcome::INVALID, EINVAL},
      {proto::SignalOutcome::UNREACHABLE, EHOSTDOWN},
      {proto::SignalOutcome::UNKNOWN, ETIMEDOUT},
      {static_cast<proto::SignalOutcome>(77), ETIMEDOUT},
  };
  for (const auto& [outcome, error] : outcomes) {
    capnp::MallocMessageBuilder message;
    message.initRoot<proto::AdminReply>().setSignal(outcome);
    const std::vector<uint8_t> reply = Framed(message);
    EXPECT_EQ(reply.size(), static_cast<size_t>(CLUSTIX_SIGNAL_REPLY_BYTES));
    EXPECT_EQ(ErrorOf(reply), error) << static_cast<int>(outcome);
  }
}

TEST(SignalWire, Takes_an_error_reply_for_a_signal_that_was_not_sent) {
  for (const char* text : {"", "too many questions at once: nothing was sent; try again"}) {
    capnp::MallocMessageBuilder message;
    message.initRoot<proto::AdminReply>().setError(text);
    EXPECT_EQ(ErrorOf(Framed(message)), EHOSTDOWN);
  }
}

TEST(SignalWire, Knows_nothing_from_a_reply_that_is_cut_or_none) {
  capnp::MallocMessageBuilder message;
  message.initRoot<proto::AdminReply>().setSignal(proto::SignalOutcome::DELIVERED);
  const std::vector<uint8_t> reply = Framed(message);
  for (size_t bytes = 0; bytes < reply.size(); ++bytes) {
    EXPECT_EQ(ErrorOf({reply.begin(), reply.begin() + static_cast<long>(bytes)}), ETIMEDOUT)
        << bytes;
  }
  for (uint8_t byte : {0, 1, 255}) {
    EXPECT_EQ(ErrorOf(std::vector<uint8_t>(CLUSTIX_SIGNAL_REPLY_BYTES, byte)), ETIMEDOUT);
  }
}

}  // namespace
}  // namespace clustix::client
