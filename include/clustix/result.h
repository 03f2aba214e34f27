// SPDX-License-Identifier: Apache-2.0
//
// What a function returns that can fail for reasons that a person has to be told: a value, or an
// error with a text that says what happened, why, and where it helps what to do. Plain values; any
// thread.
#ifndef CLUSTIX_RESULT_H_
#define CLUSTIX_RESULT_H_

#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace clustix {

enum class ErrorCode : uint8_t {
  kInvalidArgument,   // an option is missing, malformed or out of range
  kPermissionDenied,  // a file, an address or a set that this user may not use so
  kInUse,             // somebody listens on that address, or this range is watched, already
  kUnsupported,       // the system or the daemon lacks what is needed, or forbids it
  kSystem,            // anything else that the system refused: memory, descriptors, files
  // Of object sets (clustix/sets.h):
  kNotFound,     // no daemon runs here; there is no such set
  kExists,       // there is such a set already, or one of another policy
  kNoSpace,      // sets, clients or memory: the message says which
  kUnavailable,  // the daemon does not answer, has gone, or is not in its cluster
  kUnknown,      // the daemon went while it was asked: it may or may not be done
};

struct Error {
  ErrorCode code;
  std::string message;
};

template <typename T>
class Result {
 public:
  // Implicit, so that a function returns a T or an Error as it is.
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : value_(std::move(error)) {}

  bool ok() const { return std::holds_alternative<T>(value_); }
  explicit operator bool() const { return ok(); }

  // Only when ok().
  T& operator*() & {
    assert(ok());
    return *std::get_if<T>(&value_);
  }
  T&& operator*() && {
    assert(ok());
    return std::move(*std::get_if<T>(&value_));
  }
  const T& operator*() const& {
    assert(ok());
    return *std::get_if<T>(&value_);
  }
  T* operator->() { return &**this; }
  const T* operator->() const { return &**this; }
  // Only when not ok().
  const Error& error() const {
    assert(!ok());
    return *std::get_if<Error>(&value_);
  }

 private:
  std::variant<T, Error> value_;
};

}  // namespace clustix

#endif  // CLUSTIX_RESULT_H_
