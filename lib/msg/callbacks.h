// SPDX-License-Identifier: Apache-2.0
#ifndef CLUSTIX_LIB_MSG_CALLBACKS_H_
#define CLUSTIX_LIB_MSG_CALLBACKS_H_

#include <cstddef>

namespace clustix::msg {

// A callback may add another one, which is not called this time.
template <typename Callbacks, typename... Args>
void CallAll(const Callbacks& callbacks, Args... args) {
  const size_t count = callbacks.size();
  for (size_t i = 0; i < count; ++i) callbacks[i](args...);
}

}  // namespace clustix::msg

#endif  // CLUSTIX_LIB_MSG_CALLBACKS_H_
