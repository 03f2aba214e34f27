// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/socket_files.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "lib/procview/scan.h"

namespace clustix::procview {
namespace {

// The nth word of a line, from 0; empty if there are fewer.
std::string_view Word(std::string_view line, size_t n) {
  std::string_view word;
  for (size_t i = 0; i <= n; ++i) {
    word = NextWord(&line);
    if (word.empty()) break;
  }
  return word;
}

// A word that lies in `line`, replaced.
std::string Replace(std::string_view line, std::string_view word, std::string_view by) {
  const auto at = static_cast<size_t>(word.data() - line.data());
  return std::string(line.substr(0, at)).append(by).append(line.substr(at + word.size()));
}

// "00000000d82e7abe:" or the same without the colon.
bool IsAddress(std::string_view word) {
  if (!word.empty() && word.back() == ':') word.remove_suffix(1);
  return !word.empty() && std::all_of(word.begin(), word.end(),
                                      [](unsigned char c) { return std::isxdigit(c) != 0; });
}

std::optional<std::string> HideAddress(std::string_view line, size_t column) {
  const std::string_view word = Word(line, column);
  if (!IsAddress(word)) return std::nullopt;
  std::string zeros(word.size(), '0');
  if (word.back() == ':') zeros.back() = ':';
  return Replace(line, word, zeros);
}

std::optional<std::string> RenumberInode(std::string_view line, size_t column, uint16_t node,
                                         uint16_t self) {
  const std::string_view word = Word(line, column);
  const auto inode = ParseNumber<uint64_t>(word);
  if (!inode || *inode >> kSocketNodeShift != 0) return std::nullopt;
  return Replace(line, word, std::to_string(GlobalSocket(node, *inode, self)));
}

}  // namespace

std::string MergeSockets(const SocketColumns& columns, std::span<const NodeCopy> copies,
                         uint16_t self) {
  std::string out;
  for (const NodeCopy& copy : copies) {
    std::string_view rest = copy.text;
    const auto header = NextLine(&rest);
    if (!header || header->empty()) continue;
    if (out.empty()) out.append(*header).append("\n");
    while (const auto line = NextLine(&rest)) {
      const auto global = RenumberInode(*line, columns.inode, copy.node, self);
      if (global) out.append(*global).append("\n");
    }
  }
  return out;
}

std::string HideSocketAddresses(const SocketColumns& columns, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  if (const auto header = NextLine(&text)) out.append(*header).append("\n");
  while (const auto line = NextLine(&text)) {
    if (const auto hidden = HideAddress(*line, columns.address)) out.append(*hidden).append("\n");
  }
  return out;
}

}  // namespace clustix::procview
