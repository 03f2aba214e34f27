// SPDX-License-Identifier: Apache-2.0
//
// "Did you mean ...?" for names that a person mistyped. Pure; any thread.
#ifndef CLUSTIX_DAEMON_SPELLING_H_
#define CLUSTIX_DAEMON_SPELLING_H_

#include <span>
#include <string>
#include <string_view>

namespace clustix::daemon {

// The one of `known` that `typed` is most likely meant to be; empty if none is near: at most one
// mistake in three letters, where a letter too many, missing, wrong, or swapped with its neighbour
// is one.
std::string_view NearestWord(std::string_view typed, std::span<const std::string_view> known);

// "; did you mean WORD?", or nothing.
std::string DidYouMean(std::string_view typed, std::span<const std::string_view> known);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_SPELLING_H_
