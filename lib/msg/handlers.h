// SPDX-License-Identifier: Apache-2.0
//
// Who takes the messages of which port. A lookup is two loads. Belongs to the loop's thread.
#ifndef CLUSTIX_LIB_MSG_HANDLERS_H_
#define CLUSTIX_LIB_MSG_HANDLERS_H_

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "clustix/messenger.h"

namespace clustix::msg {

class Handlers {
 public:
  // An empty handler removes the port's. The old one may be running: it lives until Sweep().
  void Set(Port port, Messenger::Handler handler) {
    std::unique_ptr<Page>& page = pages_[port / kPagePorts];
    if (page == nullptr) page = std::make_unique<Page>();
    std::unique_ptr<Messenger::Handler>& entry = (*page)[port % kPagePorts];
    if (entry != nullptr) replaced_.push_back(std::move(entry));
    if (handler) entry = std::make_unique<Messenger::Handler>(std::move(handler));
  }

  // nullptr: nobody. Good until Sweep().
  const Messenger::Handler* Find(Port port) const {
    const Page* page = pages_[port / kPagePorts].get();
    return page == nullptr ? nullptr : (*page)[port % kPagePorts].get();
  }

  // Destroys what has been replaced. Not from within a handler.
  void Sweep() { std::exchange(replaced_, {}).clear(); }

 private:
  static constexpr size_t kPagePorts = 256;
  using Page = std::array<std::unique_ptr<Messenger::Handler>, kPagePorts>;

  std::array<std::unique_ptr<Page>, 65536 / kPagePorts> pages_;
  std::vector<std::unique_ptr<Messenger::Handler>> replaced_;
};

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_HANDLERS_H_
