// SPDX-License-Identifier: Apache-2.0
#include "lib/msg/kccm_messenger.h"

#include <poll.h>

#include <utility>

#include "include/uapi/kccm.h"
#include "lib/base/status.h"
#include "lib/msg/core_messenger.h"
#include "lib/msg/kccm_core.h"

namespace clustix::msg {
namespace {

// A process that was killed lets go of its ports when the kernel has taken its io_uring apart, soon
// after its end, and of which nothing tells.
constexpr int kFreePortAttempts = 300;
constexpr int kFreePortAgainMs = 10;

absl::StatusOr<std::unique_ptr<KccmPort>> BindFreePort(Port number) {
  for (int attempts = kFreePortAttempts;; --attempts) {
    absl::StatusOr<std::unique_ptr<KccmPort>> port = KccmPort::Bind(number);
    if (port.ok() || !absl::IsFailedPrecondition(port.status()) || attempts == 0) return port;
    poll(nullptr, 0, kFreePortAgainMs);
  }
}

}  // namespace

absl::StatusOr<KccmMessenger> StartKccmMessenger(io::DeviceIo& io, const MessengerConfig& config,
                                                 const std::vector<Port>& ports,
                                                 std::function<void()> closed) {
  if (!config.bind_address.empty() || !config.congestion.empty()) {
    return absl::InvalidArgumentError(
        "the module kccm takes neither an address to dial from nor a congestion control");
  }
  ASSIGN_OR_RETURN(KccmNetlink netlink, KccmNetlink::Open());
  ASSIGN_OR_RETURN(KccmEvents events, KccmEvents::Open());
  // Before a node is ended that is there: a process that lives serves its ports.
  std::vector<std::unique_ptr<KccmPort>> bound;
  for (const Port number : ports) {
    absl::StatusOr<std::unique_ptr<KccmPort>> port = BindFreePort(number);
    if (absl::IsFailedPrecondition(port.status())) {
      return absl::FailedPreconditionError(
          absl::StrCat(port.status().message(), " (another clustixd of this network namespace?)"));
    }
    RETURN_IF_ERROR(port.status());
    bound.push_back(*std::move(port));
  }
  auto core = std::make_shared<KccmCore>(io, config, std::move(netlink), std::move(events));
  RETURN_IF_ERROR(core->Start(config, std::move(bound), std::move(closed)));
  const KccmNode node = core->node();
  return KccmMessenger{.messenger = std::make_unique<CoreMessenger<KccmCore>>(std::move(core)),
                       .incarnation = node.incarnation,
                       .protocol = node.protocol};
}

}  // namespace clustix::msg
