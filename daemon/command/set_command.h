// SPDX-License-Identifier: Apache-2.0
//
// What the commands of `clustix set` share. One thread.
#ifndef CLUSTIX_DAEMON_COMMAND_SET_COMMAND_H_
#define CLUSTIX_DAEMON_COMMAND_SET_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>

#include "clustix/sets.h"
#include "daemon/command/command.h"

namespace clustix::command {

// "7", "0x1f": the number of an object. Nothing: it is none.
std::optional<ObjectId> ParseObject(const std::string& text);

struct ObjectRange {
  ObjectId first = 0;
  ObjectId last = UINT64_MAX;
};
// "7" or "0x10-0x1f".
std::optional<ObjectRange> ParseObjectRange(const std::string& text);

// "61 62 0a" or "61620a"; nothing: it is no hex.
std::optional<std::string> ParseHex(const std::string& text);
// "61620a"
std::string ToHex(std::span<const std::byte> bytes);

Result<Client> ConnectToSets(const Context& context);
// Says on stderr why the set `name` is not to be had; one that is there and sounds like it is
// named.
int FailOnSet(Client& client, const std::string& name, const Error& error);
int FailOnObject(const std::string& name, ObjectId object, SetOutcome outcome);

// Those of objects; those of sets are in AddSetCommand().
void AddObjectCommands(CLI::App& set, Context& context);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_SET_COMMAND_H_
