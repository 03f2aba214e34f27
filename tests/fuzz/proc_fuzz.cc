// SPDX-License-Identifier: Apache-2.0
//
// Gives bytes to whatever a daemon believes of a peer about processes: replies and news of
// proto/proc.capnp, what is made of the texts in them, and the messages and frames of
// proto/exec.capnp. What must hold: no crash, no more memory than the bytes account for, and a
// snapshot that is taken is one whose pids ascend.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daemon/remote/frame.h"
#include "lib/proc/process_changes.h"
#include "lib/proc/snapshot_codec.h"
#include "lib/procview/aggregate.h"
#include "lib/procview/asked_files.h"
#include "lib/procview/process_stat.h"
#include "lib/procview/process_status.h"
#include "lib/procview/view_clock.h"
#include "proto/exec.capnp.h"
#include "proto/message.h"
#include "proto/proc.capnp.h"

namespace {

using Bytes = std::span<const std::byte>;

constexpr uint16_t kPeer = 2;

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "proc_fuzz: %s\n", what);
  std::abort();
}

// All that is shown of a snapshot.
void Show(std::shared_ptr<const clustix::proc::NodeSnapshot> snapshot) {
  namespace procview = clustix::procview;
  clustix::proc::ClusterSnapshot cluster;
  cluster.self = kPeer;
  clustix::proc::NodeView view;
  view.node = kPeer;
  view.snapshot = snapshot;
  cluster.nodes.push_back(std::move(view));
  const procview::ViewClock clock = procview::MakeViewClock(cluster);
  for (const auto& file : procview::kNodeFiles) (void)AggregateFile(file.file, cluster, clock);
  for (const auto& process : snapshot->processes) {
    (void)procview::ParseStatm(process.statm);
    (void)procview::GlobalizeStat(process.stat, kPeer,
                                  clock.BootShiftTicks(kPeer, snapshot->clock_ticks));
    (void)procview::GlobalizeStatus(process.status, kPeer);
  }
}

// Two pages, of which the second is the same again and so must not be taken if it has processes.
void TakeSnapshot(Bytes bytes) {
  auto snapshot = std::make_shared<clustix::proc::NodeSnapshot>();
  snapshot->node = kPeer;
  auto append = [&snapshot](clustix::proto::ProcReply::Reader reply) {
    if (!reply.isSnapshot()) return absl::InvalidArgumentError("not a snapshot");
    return AppendSnapshotPage(reply.getSnapshot(), *snapshot);
  };
  if (!clustix::proto::ReadMessage<clustix::proto::ProcReply>(bytes, append).ok()) return;
  const auto& processes = snapshot->processes;
  Require(std::is_sorted(processes.begin(), processes.end(),
                         [](const auto& a, const auto& b) { return a.pid < b.pid; }),
          "takes pids that do not ascend");
  Require(snapshot->node == kPeer, "believes a node about which it is");
  const size_t count = processes.size();
  if (count > 0) {
    Require(!clustix::proto::ReadMessage<clustix::proto::ProcReply>(bytes, append).ok(),
            "takes a page twice");
    Require(snapshot->processes.size() == count, "keeps half of a page that it refused");
  }
  Show(snapshot);
}

void TakeChanges(Bytes bytes) {
  clustix::proc::ChangeLog log;
  (void)clustix::proto::ReadMessage<clustix::proto::ProcessChanges>(
      bytes, [&log](auto message) -> absl::Status {
        absl::StatusOr<clustix::proc::ProcessChanges> changes =
            clustix::proc::DecodeChanges(message);
        if (!changes.ok()) return changes.status();
        Require(changes->changed.size() + changes->gone.size() <= clustix::proto::CHANGES_MAX,
                "takes more news than a message may hold");
        (void)log.Add(*std::move(changes));
        return absl::OkStatus();
      });
  auto snapshot = std::make_shared<clustix::proc::NodeSnapshot>();
  snapshot->node = kPeer;
  Show(log.Bring(snapshot));
}

// The first byte says which file it is of.
void MergeFile(Bytes bytes) {
  if (bytes.empty()) return;
  namespace procview = clustix::procview;
  const auto index = static_cast<size_t>(bytes[0]) % procview::kAskedFiles.size();
  const procview::AskedFile& file = procview::kAskedFiles[index];
  const std::string text(reinterpret_cast<const char*>(bytes.data() + 1), bytes.size() - 1);
  const std::vector<procview::NodeCopy> copies = {
      {1, text}, {kPeer, HideAskedAddresses(file, text)}, {3, text.substr(text.size() / 2)}};
  (void)MergeAskedFile(file, copies, 1);
}

absl::Status LookInto(clustix::proto::ExecFrame::Reader frame) {
  size_t bytes = 0;
  if (frame.isStart() && frame.getStart().isCommand()) {
    for (auto word : frame.getStart().getCommand().getArgv()) bytes += word.size();
    for (auto variable : frame.getStart().getCommand().getEnvironment()) bytes += variable.size();
  } else if (frame.isOutput()) {
    bytes = frame.getOutput().getBytes().size();
  } else if (frame.isInput()) {
    bytes = frame.getInput().size();
  } else if (frame.isFailed()) {
    bytes = frame.getFailed().getText().size();
  } else if (frame.isLost()) {
    bytes = frame.getLost().size();
  }
  Require(bytes <= size_t{8} * clustix::proto::EXEC_FRAME_BYTES_MAX,
          "a frame holds more than its bytes");
  return absl::OkStatus();
}

// As they come from a stream: the first byte says in pieces of what size.
void CutFrames(Bytes bytes) {
  if (bytes.empty()) return;
  const size_t piece = static_cast<size_t>(bytes[0]) + 1;
  bytes = bytes.subspan(1);
  clustix::remote::FrameCutter cutter, whole;
  whole.Add(bytes);
  const absl::StatusOr<clustix::remote::Frame> frames = whole.TakeWhole(bytes.size() + 1);
  size_t taken = 0;
  while (!bytes.empty()) {
    const size_t size = std::min(piece, bytes.size());
    cutter.Add(bytes.first(size));
    bytes = bytes.subspan(size);
    for (;;) {
      const absl::StatusOr<Bytes> frame = cutter.Next();
      if (!frame.ok()) return;
      if (frame->empty()) break;
      taken += sizeof(uint32_t) + frame->size();
      (void)clustix::remote::ReadFrame(*frame, LookInto);
    }
  }
  Require(frames.ok() && frames->size() == taken, "cuts other frames than it takes as a whole");
}

void TakeExecMessage(Bytes bytes) {
  std::vector<std::byte> frames;
  (void)clustix::proto::ReadMessage<clustix::proto::ExecMessage>(
      bytes, [&frames](clustix::proto::ExecMessage::Reader message) {
        capnp::Data::Reader data;
        if (message.isFrames()) data = message.getFrames();
        if (message.isOpen()) data = message.getOpen().getStart();
        const Bytes content = std::as_bytes(std::span(data.begin(), data.size()));
        frames.push_back(std::byte{63});
        frames.insert(frames.end(), content.begin(), content.end());
        return absl::OkStatus();
      });
  CutFrames(frames);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr void (*kTargets[])(Bytes) = {TakeSnapshot, TakeChanges, MergeFile, CutFrames,
                                         TakeExecMessage};
  kTargets[data[0] % std::size(kTargets)](std::as_bytes(std::span(data, size)).subspan(1));
  return 0;
}
