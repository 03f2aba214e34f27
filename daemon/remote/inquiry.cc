// SPDX-License-Identifier: Apache-2.0
#include "daemon/remote/inquiry.h"

#include <poll.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "daemon/remote/attachment.h"
#include "daemon/remote/frame_socket.h"
#include "lib/base/status.h"
#include "lib/procview/global_pid.h"

namespace clustix::remote {
namespace {

using std::chrono::steady_clock;

// What is asked of one node.
struct Question {
  uint16_t node;
  FrameSocket socket;
  std::set<int32_t> open;  // local pids that nothing is known of yet
  bool over = false;
};

void TellRest(const Inquiry& inquiry, Question& question, Finding::Kind kind,
              const std::string& text) {
  question.over = true;
  for (const int32_t pid : std::exchange(question.open, {})) {
    inquiry.tell(procview::GlobalPid(question.node, pid),
                 {.kind = kind, .error = 0, .value = 0, .text = text});
  }
}

absl::Status Handle(const Inquiry& inquiry, Question& question, proto::ExecFrame::Reader frame) {
  switch (frame.which()) {
    case proto::ExecFrame::RESULT: {
      const auto result = frame.getResult();
      if (question.open.erase(result.getPid()) == 0) break;
      inquiry.tell(procview::GlobalPid(question.node, result.getPid()),
                   {.kind = Finding::Kind::kAnswered,
                    .error = result.getError(),
                    .value = result.getValue(),
                    .text = {}});
      return absl::OkStatus();
    }
    case proto::ExecFrame::EXITED:
      if (!question.open.empty()) break;
      question.over = true;
      return absl::OkStatus();
    case proto::ExecFrame::FAILED:
      TellRest(inquiry, question, Finding::Kind::kNotAsked, frame.getFailed().getText().cStr());
      return absl::OkStatus();
    case proto::ExecFrame::LOST:
      TellRest(inquiry, question, Finding::Kind::kUnknown, frame.getLost().cStr());
      return absl::OkStatus();
    default:
      break;
  }
  return absl::InvalidArgumentError("what it answers makes no sense");
}

void Serve(const Inquiry& inquiry, Question& question, short events) {
  const bool open = question.socket.OnReady(events);
  const absl::Status status = question.socket.Receive(
      [&](proto::ExecFrame::Reader frame) { return Handle(inquiry, question, frame); });
  if (question.over || (open && status.ok())) return;
  TellRest(inquiry, question, Finding::Kind::kUnknown,
           status.ok() ? "the connection to the node ended" : std::string(status.message()));
}

// What poll() is to wait, at most; -1 for ever, 0 when the time is over.
int LeftMs(const std::optional<steady_clock::time_point>& deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, INT32_MAX));
}

absl::StatusOr<std::vector<Question>> Ask(const Inquiry& inquiry) {
  std::map<uint16_t, std::set<int32_t>> nodes;
  for (const int32_t gpid : inquiry.gpids) {
    nodes[procview::NodeOfGlobalPid(gpid)].insert(procview::LocalPid(gpid));
  }
  std::vector<Question> questions;
  for (auto& [node, pids] : nodes) {
    if (pids.size() > proto::EXEC_PROCESSES_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("too many processes of one node: at most ",
                                                     proto::EXEC_PROCESSES_MAX, " at once"));
    }
    ASSIGN_OR_RETURN(FrameSocket socket, ConnectForExec(inquiry.admin_socket));
    const std::vector<int32_t> list(pids.begin(), pids.end());
    const std::string name = std::to_string(node);
    socket.Send([&](proto::ExecFrame::Builder frame) {
      auto start = frame.initStart();
      start.setNode(name.c_str());
      inquiry.ask(start, list);
    });
    questions.push_back({node, std::move(socket), std::move(pids)});
  }
  return questions;
}

}  // namespace

absl::Status Inquire(const Inquiry& inquiry) {
  std::optional<steady_clock::time_point> deadline;
  if (inquiry.patience) deadline = steady_clock::now() + *inquiry.patience;
  ASSIGN_OR_RETURN(std::vector<Question> questions, Ask(inquiry));
  while (!questions.empty()) {
    std::vector<pollfd> fds;
    for (const Question& question : questions) fds.push_back(question.socket.Poll());
    const int ready = poll(fds.data(), fds.size(), LeftMs(deadline));
    if (ready == 0) return absl::DeadlineExceededError("the time is over");
    for (size_t i = 0; ready > 0 && i < questions.size(); ++i) {
      if (fds[i].revents != 0) Serve(inquiry, questions[i], fds[i].revents);
    }
    std::erase_if(questions, [](const Question& question) { return question.over; });
  }
  return absl::OkStatus();
}

}  // namespace clustix::remote
