// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/set_command.h"

#include <charconv>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "daemon/spelling.h"

namespace clustix::command {
namespace {

std::optional<uint64_t> ParseNumber(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return number;
}

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// What helps, if anything does.
const char* AdviceFor(SetOutcome outcome) {
  switch (outcome) {
    case SetOutcome::kDeadline:
      return "somebody holds it, or nodes do not answer; nothing was changed";
    case SetOutcome::kUnknown:
      return "it may or may not have happened; look with clustix set get";
    case SetOutcome::kLost:
      return "more nodes failed at once than the set keeps copies; put or rm it";
    case SetOutcome::kNoSpace:
      return "the set's quota or the node's memory is used up; see clustix set stat";
    case SetOutcome::kUnavailable:
      return "the daemon has gone, or is not in the cluster; see clustix status";
    case SetOutcome::kInvalid:
      return "an object is 1 byte to 1 MiB";
    default:
      return nullptr;
  }
}

}  // namespace

std::optional<ObjectId> ParseObject(const std::string& text) { return ParseNumber(text); }

std::optional<ObjectRange> ParseObjectRange(const std::string& text) {
  const size_t dash = text.find('-');
  const std::optional<uint64_t> first = ParseNumber(std::string_view(text).substr(0, dash));
  const std::optional<uint64_t> last =
      dash == std::string::npos ? first : ParseNumber(std::string_view(text).substr(dash + 1));
  if (!first || !last || *first > *last) return std::nullopt;
  return ObjectRange{.first = *first, .last = *last};
}

std::optional<std::string> ParseHex(const std::string& text) {
  std::string bytes;
  int high = -1;
  for (const char character : text) {
    if (high < 0 && (character == ' ' || character == '\n' || character == '\t')) continue;
    const int digit = HexDigit(character);
    if (digit < 0) return std::nullopt;
    if (high < 0) {
      high = digit;
    } else {
      bytes += static_cast<char>(high << 4 | digit);
      high = -1;
    }
  }
  if (high >= 0) return std::nullopt;
  return bytes;
}

std::string ToHex(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    text += kDigits[static_cast<size_t>(byte >> 4)];
    text += kDigits[static_cast<size_t>(byte & std::byte{15})];
  }
  return text;
}

Result<Client> ConnectToSets(const Context& context) {
  return Client::Connect({.socket = context.socket});
}

int FailOnSet(Client& client, const std::string& name, const Error& error) {
  std::string hint;
  if (error.code == ErrorCode::kNotFound) {
    if (Result<std::vector<SetInfo>> sets = client.ListSets()) {
      std::vector<std::string_view> names;
      for (const SetInfo& set : *sets) names.push_back(set.name);
      hint = daemon::DidYouMean(name, names);
    }
  }
  // The daemon's own message names the set, or speaks of something else.
  const bool is_named = error.message.find(name) != std::string::npos;
  return Fail(is_named ? error.message + hint : absl::StrCat(name, ": ", error.message, hint));
}

int FailOnObject(const std::string& name, ObjectId object, SetOutcome outcome) {
  const char* advice = AdviceFor(outcome);
  return Fail(absl::StrCat("object ", object, " of ", name, ": ", SetOutcomeName(outcome),
                           advice == nullptr ? "" : absl::StrCat(" (", advice, ")")));
}

}  // namespace clustix::command
