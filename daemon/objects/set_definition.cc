// SPDX-License-Identifier: Apache-2.0
#include "daemon/objects/set_definition.h"

#include <capnp/message.h>

#include <algorithm>

#include "lib/base/status.h"
#include "proto/message.h"
#include "proto/set_table.capnp.h"
#include "proto/sets.capnp.h"

namespace clustix::daemon {
namespace {

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

}  // namespace

bool MayUse(const SetUser& user, const SetDefinition& set, SetRight right) {
  if (user.uid == 0) return true;
  const auto bit = static_cast<unsigned>(right);
  if (user.uid == set.uid) return (set.mode >> 6 & bit) != 0;
  if (user.gid == set.gid) return (set.mode >> 3 & bit) != 0;
  return (set.mode & bit) != 0;
}

bool MayChange(const SetUser& user, const SetDefinition& set) {
  return user.uid == 0 || user.uid == set.uid;
}

absl::Status CheckSetName(std::string_view name) {
  const auto bad = [name](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat("the name of a set, \"", base::ToAbsl(name.substr(0, 64)), "\", ", why));
  };
  if (name.size() > proto::SET_NAME_BYTES_MAX) return bad("has more than 255 bytes");
  if (name.find('/') == std::string_view::npos) return bad("has no namespace: namespace/name");
  for (std::string_view left = name;;) {
    const size_t slash = left.find('/');
    const std::string_view part = left.substr(0, slash);
    if (part.empty() || part == "." || part == "..")
      return bad("has an empty part, \".\" or \"..\"");
    if (!std::all_of(part.begin(), part.end(), IsNameCharacter)) {
      return bad("has other characters than letters, digits, \".\", \"-\", \"_\" and \"/\"");
    }
    if (slash == std::string_view::npos) return absl::OkStatus();
    left.remove_prefix(slash + 1);
  }
}

std::vector<std::byte> EncodeSets(const std::vector<SetDefinition>& sets) {
  capnp::MallocMessageBuilder message;
  auto list =
      message.initRoot<proto::SetTableBucket>().initSets(static_cast<unsigned>(sets.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    auto entry = list[i];
    entry.setName(sets[i].name.c_str());
    entry.setSet(sets[i].id);
    entry.setLinker(sets[i].linker.c_str());
    entry.setMode(sets[i].mode);
    entry.setQuotaBytes(sets[i].quota_bytes);
    entry.setUid(sets[i].uid);
    entry.setGid(sets[i].gid);
  }
  return proto::WriteMessage(message);
}

absl::StatusOr<std::vector<SetDefinition>> DecodeSets(std::span<const std::byte> bytes) {
  std::vector<SetDefinition> sets;
  RETURN_IF_ERROR(proto::ReadMessage<proto::SetTableBucket>(
      bytes, [&sets](proto::SetTableBucket::Reader bucket) {
        for (const auto entry : bucket.getSets()) {
          SetDefinition set{.name = proto::ToString(entry.getName()),
                            .id = entry.getSet(),
                            .linker = proto::ToString(entry.getLinker()),
                            .mode = entry.getMode(),
                            .quota_bytes = entry.getQuotaBytes(),
                            .uid = entry.getUid(),
                            .gid = entry.getGid()};
          if (absl::Status name = CheckSetName(set.name); !name.ok()) return name;
          if (kddm::PlacementOf(set.id) > kddm::Placement::kIdBits) {
            return absl::InvalidArgumentError("a set's id is malformed");
          }
          sets.push_back(std::move(set));
        }
        return absl::OkStatus();
      }));
  return sets;
}

}  // namespace clustix::daemon
