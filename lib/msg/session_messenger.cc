// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/session_messenger.h"

#include <utility>

#include "lib/base/system_random.h"
#include "lib/msg/core.h"
#include "lib/msg/core_messenger.h"

namespace clustix::msg {
RandomFn SystemRandom() { return base::FillRandom; }

absl::StatusOr<std::unique_ptr<Messenger>> StartSessionMessenger(io::Io& io,
                                                                 const MessengerConfig& config,
                                                                 RandomFn random,
                                                                 std::function<void()> closed) {
  auto core = std::make_shared<Core>(io, config, std::move(random), std::move(closed));
  const absl::Status status = core->Start();
  if (!status.ok()) {
    core->Stop();
    return status;
  }
  return std::make_unique<CoreMessenger<Core>>(std::move(core));
}

}  // namespace clustix::msg
