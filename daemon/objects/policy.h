// SPDX-License-Identifier: Apache-2.0
//
// A set's policy as programs write it, and as its id and definition have it. Pure; any thread.
#ifndef CLUSTIX_DAEMON_OBJECTS_POLICY_H_
#define CLUSTIX_DAEMON_OBJECTS_POLICY_H_

#include <string>

#include "absl/status/statusor.h"
#include "clustix/messenger.h"
#include "daemon/objects/set_definition.h"
#include "proto/sets.capnp.h"

namespace clustix::daemon {

// The set that `user` wants to make on node `self`; its id still lacks a serial number.
// kInvalidArgument, kPermissionDenied: it cannot be.
absl::StatusOr<SetDefinition> ReadPolicy(const std::string& name, proto::SetPolicy::Reader policy,
                                         NodeId self, const SetUser& user);
void WritePolicy(const SetDefinition& set, proto::SetPolicy::Builder to);

}  // namespace clustix::daemon

#endif  // CLUSTIX_DAEMON_OBJECTS_POLICY_H_
