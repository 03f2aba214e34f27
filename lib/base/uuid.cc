// SPDX-License-Identifier: Apache-2.0
#include "lib/base/uuid.h"

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lib/base/hex.h"
#include "lib/base/status.h"
#include "lib/base/system_random.h"

namespace clustix::base {
namespace {

constexpr size_t kTextChars = 36;

bool IsHyphenAt(size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }

absl::Status NotAUuid(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "not a UUID (xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx): \"", ToAbsl(text.substr(0, 64)), "\""));
}

}  // namespace

Uuid RandomUuid() {
  Uuid uuid;
  FillRandom(uuid.data(), uuid.size());
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);  // version 4
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);  // the variant of the RFC
  return uuid;
}

std::string FormatUuid(const Uuid& uuid) {
  std::string text = HexEncode(uuid);
  for (size_t i : {8, 13, 18, 23}) text.insert(i, 1, '-');
  return text;
}

absl::StatusOr<Uuid> ParseUuid(std::string_view text) {
  if (text.size() != kTextChars) return NotAUuid(text);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsHyphenAt(i) != (text[i] == '-')) return NotAUuid(text);
    if (text[i] != '-') digits += text[i];
  }
  const absl::StatusOr<std::vector<uint8_t>> bytes = HexDecode(digits);
  if (!bytes.ok()) return NotAUuid(text);
  Uuid uuid;
  std::copy(bytes->begin(), bytes->end(), uuid.begin());
  return uuid;
}

}  // namespace clustix::base
