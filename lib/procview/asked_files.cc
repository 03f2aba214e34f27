// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/asked_files.h"

#include <algorithm>
#include <optional>

#include "lib/procview/counter_files.h"
#include "lib/procview/global_pid.h"
#include "lib/procview/scan.h"
#include "lib/procview/socket_files.h"

namespace clustix::procview {
namespace {

const SocketColumns* SocketColumnsOf(AskedRule rule) {
  switch (rule) {
    case AskedRule::kInetSockets:
      return &kInetColumns;
    case AskedRule::kUnixSockets:
      return &kUnixColumns;
    case AskedRule::kNetlinkSockets:
      return &kNetlinkColumns;
    case AskedRule::kPacketSockets:
      return &kPacketColumns;
    default:
      return nullptr;
  }
}

// A line with some of its words, counted from 0, handed to `change`, which returns what stands
// there instead, or nothing if it makes no sense.
template <typename Change>
std::optional<std::string> ChangeWords(std::string_view line, Change change) {
  std::string out;
  std::string_view rest = line;
  for (size_t i = 0;; ++i) {
    const std::string_view before = rest;
    const std::string_view word = NextWord(&rest);
    if (word.empty()) return out.append(before);
    out.append(before.substr(0, static_cast<size_t>(word.data() - before.data())));
    const std::optional<std::string> changed = change(i, word);
    if (!changed) return std::nullopt;
    out.append(*changed);
  }
}

std::optional<std::string> GlobalPidWord(std::string_view word, uint16_t node) {
  const auto pid = ParseNumber<int32_t>(word);
  if (!pid || *pid > kLocalPidMask) return std::nullopt;
  return std::to_string(GlobalPid(node, *pid));
}

bool IsIpcPid(std::string_view name) {
  return name == "cpid" || name == "lpid" || name == "lspid" || name == "lrpid";
}

std::string MergeIpc(std::span<const NodeCopy> copies) {
  std::string out;
  for (const NodeCopy& copy : copies) {
    std::string_view rest = copy.text;
    const auto header = NextLine(&rest);
    if (!header || header->empty()) continue;
    if (out.empty()) out.append(*header).append("\n");
    std::vector<bool> is_pid;
    for (std::string_view names = *header;;) {
      const std::string_view name = NextWord(&names);
      if (name.empty()) break;
      is_pid.push_back(IsIpcPid(name));
    }
    while (const auto line = NextLine(&rest)) {
      const auto global = ChangeWords(*line, [&](size_t i, std::string_view word) {
        return i < is_pid.size() && is_pid[i] ? GlobalPidWord(word, copy.node)
                                              : std::optional<std::string>(word);
      });
      if (global) out.append(*global).append("\n");
    }
  }
  return out;
}

// "1: POSIX  ADVISORY  WRITE 1234 fe:00:1253465 0 EOF"; one that waits for it, "1: -> POSIX ...",
// has its number.
std::string MergeLocks(std::span<const NodeCopy> copies) {
  std::string out;
  uint64_t last = 0;
  for (const NodeCopy& copy : copies) {
    const uint64_t before = last;
    std::string_view rest = copy.text;
    while (const auto line = NextLine(&rest)) {
      size_t pid_word = 4;
      const auto global =
          ChangeWords(*line, [&](size_t i, std::string_view word) -> std::optional<std::string> {
            if (i == 1 && word == "->") ++pid_word;
            if (i == pid_word) return GlobalPidWord(word, copy.node);
            if (i != 0) return std::string(word);
            const auto number = ParseNumber<uint32_t>(word.substr(0, word.size() - 1));
            if (!number || word.back() != ':') return std::nullopt;
            last = std::max(last, before + *number);
            return std::to_string(before + *number) + ":";
          });
      if (global) out.append(*global).append("\n");
    }
  }
  return out;
}

std::string Concatenate(std::span<const NodeCopy> copies) {
  std::string out;
  for (const NodeCopy& copy : copies) out.append(copy.text);
  return out;
}

}  // namespace

const AskedFile* FindAskedFile(std::string_view path) {
  const auto at = std::find_if(kAskedFiles.begin(), kAskedFiles.end(),
                               [path](const AskedFile& file) { return file.path == path; });
  return at == kAskedFiles.end() ? nullptr : &*at;
}

std::string MergeAskedFile(const AskedFile& file, std::span<const NodeCopy> copies, uint16_t self) {
  if (const SocketColumns* columns = SocketColumnsOf(file.rule)) {
    return MergeSockets(*columns, copies, self);
  }
  switch (file.rule) {
    case AskedRule::kSum:
      return SumColumns(copies, file.kept);
    case AskedRule::kLineSums:
      return SumLines(copies);
    case AskedRule::kPairSums:
      return SumPairs(copies);
    case AskedRule::kHeadedSums:
      return SumHeaded(copies);
    case AskedRule::kCpuColumns:
      return JoinCpuColumns(copies);
    case AskedRule::kConcatenation:
      return Concatenate(copies);
    case AskedRule::kIpc:
      return MergeIpc(copies);
    case AskedRule::kLocks:
      return MergeLocks(copies);
    default:
      return {};
  }
}

std::string HideAskedAddresses(const AskedFile& file, std::string text) {
  const SocketColumns* columns = SocketColumnsOf(file.rule);
  return columns == nullptr ? text : HideSocketAddresses(*columns, text);
}

}  // namespace clustix::procview
