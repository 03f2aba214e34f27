// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/job.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/status.h"
#include "proto/jobs.capnp.h"
#include "proto/message.h"

namespace clustix::remote {
namespace {

std::vector<std::string> Cut(const std::vector<std::string>& argv) {
  std::vector<std::string> cut;
  size_t left = kJobArgvBytesMax;
  for (const std::string& argument : argv) {
    if (left == 0) break;
    cut.push_back(argument.substr(0, left));
    // An argument costs something, however short it is.
    left -= std::min(left, argument.size() + 1);
  }
  return cut;
}

}  // namespace

std::string Job::Name() const { return absl::StrCat(node, ".", serial); }

std::vector<std::byte> EncodeJob(const Job& job) {
  capnp::MallocMessageBuilder message;
  auto to = message.initRoot<proto::Job>();
  to.setSerial(job.serial);
  to.setNode(job.node);
  to.setCaller(job.caller);
  to.setPid(job.pid);
  to.setStartTicks(job.start_ticks);
  to.setStartedMs(job.started_ms);
  to.setEndedMs(job.ended_ms);
  to.setCode(job.code);
  to.setSignal(job.signal);
  const std::vector<std::string> argv = Cut(job.argv);
  auto list = to.initArgv(static_cast<unsigned>(argv.size()));
  for (unsigned i = 0; i < list.size(); ++i) list.set(i, argv[i].c_str());
  return proto::WriteMessage(message);
}

absl::StatusOr<Job> DecodeJob(std::span<const std::byte> bytes) {
  Job job;
  RETURN_IF_ERROR(proto::ReadMessage<proto::Job>(bytes, [&job](proto::Job::Reader from) {
    Job read{.serial = from.getSerial(),
             .node = from.getNode(),
             .caller = from.getCaller(),
             .pid = from.getPid(),
             .start_ticks = from.getStartTicks(),
             .started_ms = from.getStartedMs(),
             .ended_ms = from.getEndedMs(),
             .code = from.getCode(),
             .signal = from.getSignal(),
             .argv = {}};
    for (capnp::Text::Reader argument : from.getArgv()) read.argv.emplace_back(argument.cStr());
    job = std::move(read);
    return absl::OkStatus();
  }));
  return job;
}

}  // namespace clustix::remote
