// SPDX-License-Identifier: Apache-2.0
//
// Node 1, with nodes 2 and 3. The messenger's queues are full when the test says so.
#include "daemon/remote/exec_service.h"

#include <capnp/message.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "daemon/remote/frame.h"
#include "lib/base/time_units.h"
#include "lib/msg/ports.h"
#include "proto/message.h"
#include "tests/unit/daemon/fake_messenger.h"
#include "tests/unit/daemon/temp_dir.h"
#include "tests/unit/remote/hand_io.h"

namespace clustix::remote {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uid_t kUser = 12'345;
constexpr size_t kLarge = 200'000;  // of a request

// What was said between the daemons, in short.
struct Said {
  proto::ExecMessage::Which kind;
  uint64_t session;
};
bool operator==(const Said& one, const Said& other) {
  return one.kind == other.kind && one.session == other.session;
}

// What a caller was told last.
struct Told {
  std::string failed, lost;
};

Frame StartFrame(size_t bytes, const char* node = "2") {
  return MakeFrame([&](proto::ExecFrame::Builder frame) {
    auto start = frame.initStart();
    start.setNode(node);
    start.initCommand().initArgv(1).set(0, std::string(bytes, 'x').c_str());
  });
}

Frame InputFrame(size_t bytes = 10'000) {
  return MakeFrame([&](proto::ExecFrame::Builder frame) { frame.initInput(bytes); });
}

Frame operator+(Frame one, const Frame& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

class Exec : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() == kUser) GTEST_SKIP() << "this user is a stranger in the tests";
    options_.socket_path = dir_.Write("exec.sock", "");
    options_.session_socket = "session";
    service_ = *ExecService::Start(io_, messenger_, nodes_, options_);
    Happens(2, PeerEvent::kUp);
    Happens(3, PeerEvent::kUp);
  }
  void TearDown() override {
    if (service_ == nullptr) return;
    bool closed = false;
    service_->Stop([&] { closed = true; });
    io_.Turn();
    EXPECT_TRUE(closed);
  }

  void Happens(NodeId node, PeerEvent event) {
    nodes_.OnEvent(node, event);
    messenger_.on_event(node, event);
    io_.Turn();
  }
  void Fill() { messenger_.refuse_calls = messenger_.refuse_sends = Outcome::kBusy; }
  void EndRefusing() {
    messenger_.refuse_calls.reset();
    messenger_.refuse_sends.reset();
  }
  void MakeRoom() {
    EndRefusing();
    messenger_.on_writable(2, Lane::kBulk);
    io_.Turn();
  }
  // Node 2 says something of a session, as a call or not.
  void Hear(uint64_t session, bool to_caller, bool call,
            const std::function<void(proto::ExecMessage::Builder)>& fill) {
    capnp::MallocMessageBuilder message;
    auto to = message.initRoot<proto::ExecMessage>();
    to.setSession(session);
    to.setToCaller(to_caller);
    fill(to);
    const std::vector<std::byte> bytes = proto::WriteMessage(message);
    messenger_.handlers.at(msg::kPortExec)({.from = 2,
                                            .port = msg::kPortExec,
                                            .lane = Lane::kBulk,
                                            .epoch = 0,
                                            .wants_reply = call,
                                            .request = session,
                                            .payload = bytes});
    io_.Turn();
  }
  void HearOpen(uint64_t session) {
    Hear(session, false, true, [](proto::ExecMessage::Builder message) {
      const Frame start = StartFrame(1);
      message.initOpen().setStart({reinterpret_cast<const kj::byte*>(start.data()), start.size()});
      message.getOpen().initBegin().setUid(geteuid());
    });
  }
  void HearClose(uint64_t session, bool to_caller) {
    Hear(session, to_caller, false,
         [](proto::ExecMessage::Builder message) { message.setClose(); });
  }
  // What went to the messenger since it was last asked.
  std::vector<Said> TakeSaid() {
    std::deque<FakeMessenger::Called> calls = messenger_.TakeAllCalls();
    const size_t calls_before = messenger_.call_count() - calls.size();
    std::vector<Said> all;
    size_t called = 0;
    const auto add_calls = [&](size_t up_to) {
      for (; called < up_to; ++called) {
        all.push_back(SaidBy(calls[called].payload));
        EXPECT_EQ(all.back().kind, proto::ExecMessage::OPEN);
        asked_ = std::move(calls[called]);
      }
    };
    for (const FakeMessenger::Sent& sent : messenger_.TakeAllSent()) {
      add_calls(sent.calls_before - calls_before);
      all.push_back(SaidBy(sent.payload));
      EXPECT_NE(all.back().kind, proto::ExecMessage::OPEN);
    }
    add_calls(calls.size());
    return all;
  }
  static Said SaidBy(const std::vector<std::byte>& payload) {
    Said said = {};
    const absl::Status status =
        proto::ReadMessage<proto::ExecMessage>(payload, [&](proto::ExecMessage::Reader message) {
          said = {message.which(), message.getSession()};
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    return said;
  }
  // The last request that was taken.
  void AnswerRequest(Outcome outcome) {
    ASSERT_TRUE(asked_.done != nullptr);
    std::exchange(asked_, {}).done({outcome, 0, {}});
    io_.Turn();
  }
  Told TakeTold(io::StreamId caller) {
    Told told;
    FrameCutter cutter;
    cutter.Add(io_.TakeWritten(caller));
    for (auto frame = *cutter.Next(); !frame.empty(); frame = *cutter.Next()) {
      EXPECT_TRUE(ReadFrame(frame, [&](proto::ExecFrame::Reader reader) {
                    if (reader.isFailed()) told.failed = reader.getFailed().getText().cStr();
                    if (reader.isLost()) told.lost = reader.getLost().cStr();
                    return absl::OkStatus();
                  }).ok());
    }
    return told;
  }
  // A caller whose request has gone out; its session.
  std::pair<io::StreamId, uint64_t> Ask() {
    const io::StreamId caller = io_.Come(kUser);
    io_.Say(caller, StartFrame(1));
    const std::vector<Said> said = TakeSaid();
    EXPECT_EQ(said.size(), 1u);
    return {caller, said.empty() ? 0 : said.front().session};
  }

  TempDir dir_;
  HandIo io_;
  FakeMessenger messenger_;
  member::NodeTable nodes_ =
      *member::NodeTable::Create(1, {{1, "here", "1"}, {2, "there", "2"}, {3, "elsewhere", "3"}});
  ExecOptions options_;
  std::unique_ptr<ExecService> service_;
  FakeMessenger::Called asked_;
};

constexpr auto kFrames = proto::ExecMessage::FRAMES;
constexpr auto kClose = proto::ExecMessage::CLOSE;

TEST_F(Exec, Says_that_a_request_has_arrived) {
  HearOpen(1);
  const FakeMessenger::Answered answer = messenger_.TakeAnswer();
  EXPECT_EQ(answer.request, 1u);
  EXPECT_EQ(answer.status, 0);
  HearOpen(1);  // there is one
  EXPECT_EQ(messenger_.TakeAnswer().status, EBADMSG);
  Hear(2, false, true, [](proto::ExecMessage::Builder message) { message.setClose(); });
  EXPECT_EQ(messenger_.TakeAnswer().status, EBADMSG);
  EXPECT_EQ(service_->bad_requests(), 2u);
  EXPECT_EQ(service_->tunnels(), 1u);
}

TEST_F(Exec, Says_at_once_that_no_daemon_runs_on_a_node_that_is_up) {
  const io::StreamId caller = Ask().first;
  AnswerRequest(Outcome::kNoSuchPort);
  EXPECT_EQ(TakeTold(caller).failed, "there cannot be told: its clustixd does not run");
  EXPECT_EQ(service_->tunnels(), 0u);
}

TEST_F(Exec, Takes_back_what_nobody_has_said_to_have) {
  const auto [caller, session] = Ask();
  AnswerRequest(Outcome::kDeadline);
  EXPECT_THAT(TakeTold(caller).lost, HasSubstr("failed before it said"));
  EXPECT_THAT(TakeSaid(), ElementsAre(Said{kClose, session}));  // should it have it after all
}

TEST_F(Exec, Holds_nothing_of_callers_who_went_while_their_requests_waited) {
  Fill();
  const Frame words = StartFrame(50'000) + InputFrame();
  for (size_t i = 0; i < 2 * ExecService::kTunnelsPerUser; ++i) {
    const io::StreamId caller = io_.Come(kUser);
    ASSERT_NE(caller, 0u);
    io_.SayAndGo(caller, words);
    ASSERT_EQ(service_->waiting_bytes(), 0u);
  }
  EXPECT_EQ(service_->tunnels(), 0u);
  MakeRoom();
  EXPECT_THAT(TakeSaid(), IsEmpty());
}

TEST_F(Exec, Refuses_requests_while_too_much_waits) {
  Fill();
  std::vector<io::StreamId> waiting;
  Told told;
  while (told.failed.empty()) {
    waiting.push_back(io_.Come(kUser));
    ASSERT_NE(waiting.back(), 0u);
    io_.Say(waiting.back(), StartFrame(kLarge));
    told = TakeTold(waiting.back());
  }
  waiting.pop_back();
  EXPECT_EQ(told.failed, "too much waits to be sent to there: try again");
  EXPECT_EQ(service_->turned_away(), 1u);
  EXPECT_LT(service_->waiting_bytes(), ExecService::kBacklogBytesMax / 2 + 2 * kLarge);
  // Something is left for root, and the way to another node is another.
  const io::StreamId root = io_.Come(0);
  io_.Say(root, StartFrame(1));
  EXPECT_EQ(TakeTold(root).failed, "");
  EndRefusing();
  const io::StreamId other = io_.Come(kUser);
  io_.Say(other, StartFrame(1, "3"));
  EXPECT_EQ(TakeTold(other).failed, "");
  EXPECT_EQ(TakeSaid().size(), 1u);

  MakeRoom();
  EXPECT_EQ(TakeSaid().size(), waiting.size() + 1);
  EXPECT_EQ(service_->waiting_bytes(), 0u);
  Ask();
}

TEST_F(Exec, Sends_what_a_caller_said_last_when_there_is_room) {
  const auto [caller, session] = Ask();
  Fill();
  io_.Say(caller, InputFrame());
  EXPECT_TRUE(io_.IsPaused(caller));
  io_.SayAndGo(caller, InputFrame());
  EXPECT_GT(service_->waiting_bytes(), 20'000u);
  MakeRoom();
  EXPECT_THAT(TakeSaid(),
              ElementsAre(Said{kFrames, session}, Said{kFrames, session}, Said{kClose, session}));
}

TEST_F(Exec, Refuses_requests_while_much_waits_of_sessions_that_have_ended) {
  std::vector<io::StreamId> callers;
  while (callers.size() < ExecService::kTunnelsPerUser) callers.push_back(Ask().first);
  Fill();
  Frame words;
  for (int i = 0; i < 10; ++i) words = words + InputFrame(20'000);
  for (const io::StreamId caller : callers) io_.SayAndGo(caller, words);
  EXPECT_EQ(service_->tunnels(), 0u);
  const size_t held = service_->waiting_bytes();
  const Frame request = StartFrame(kLarge);
  for (int i = 0; i < 10; ++i) io_.SayAndGo(io_.Come(kUser), request);
  EXPECT_EQ(service_->waiting_bytes(), held);
  EXPECT_EQ(service_->turned_away(), 10u);
}

TEST_F(Exec, Reads_on_when_there_is_room) {
  const auto [caller, session] = Ask();
  Fill();
  io_.Say(caller, InputFrame());
  io_.Say(caller, InputFrame());  // was on its way
  MakeRoom();
  EXPECT_FALSE(io_.IsPaused(caller));
  io_.Say(caller, InputFrame());
  EXPECT_THAT(TakeSaid(),
              ElementsAre(Said{kFrames, session}, Said{kFrames, session}, Said{kFrames, session}));
}

TEST_F(Exec, Asks_a_node_that_was_given_up_for_nothing) {
  const auto [known, session] = Ask();
  Fill();
  io_.Say(known, InputFrame());
  const io::StreamId unknown = io_.Come(kUser);
  io_.Say(unknown, StartFrame(kLarge) + InputFrame());

  Happens(2, PeerEvent::kDead);
  EXPECT_TRUE(io_.IsOpen(known));  // it may come back
  EXPECT_GT(service_->waiting_bytes(), kLarge);
  io_.Pass(ExecService::kPatienceMs * kNsPerMs);
  EXPECT_THAT(TakeTold(known).lost, HasSubstr("does not answer any more"));
  EXPECT_THAT(TakeTold(unknown).failed, HasSubstr("does not answer any more"));
  EXPECT_LT(service_->waiting_bytes(), 1000u);

  MakeRoom();
  EXPECT_THAT(TakeSaid(), ElementsAre(Said{kClose, session}));
}

TEST_F(Exec, Asks_the_next_life_of_a_node_for_nothing_that_its_last_was_to_do) {
  const auto [known, session] = Ask();
  Fill();
  io_.Say(known, InputFrame());
  const io::StreamId unknown = io_.Come(kUser);
  io_.Say(unknown, StartFrame(1));

  Happens(2, PeerEvent::kRebooted);
  EXPECT_EQ(TakeTold(known).lost, "the daemon of there restarted");
  EXPECT_EQ(TakeTold(unknown).failed, "the daemon of there restarted");
  EXPECT_EQ(service_->waiting_bytes(), 0u);
  MakeRoom();
  EXPECT_THAT(TakeSaid(), IsEmpty());
  Happens(2, PeerEvent::kUp);
  Ask();
}

TEST_F(Exec, Holds_nothing_of_sessions_whose_callers_have_gone) {
  Fill();
  for (uint64_t session = 1; session <= 100; ++session) {
    HearOpen(session);
    const io::StreamId stream = io_.Take();
    io_.SayAndGo(stream, InputFrame());
    EXPECT_GT(service_->waiting_bytes(), 10'000u);
    HearClose(session, false);
    ASSERT_EQ(service_->waiting_bytes(), 0u);
  }
  MakeRoom();
  EXPECT_THAT(TakeSaid(), IsEmpty());
}

TEST_F(Exec, Begins_no_session_for_a_node_that_is_not_told_what_they_say) {
  Fill();
  uint64_t session = 0;
  while (service_->turned_away() == 0) {
    HearOpen(++session);
    if (service_->turned_away() != 0) break;
    ASSERT_LT(session, 10'000u);
    Frame words;
    for (int i = 0; i < 10; ++i) words = words + InputFrame(20'000);
    io_.SayAndGo(io_.Take(), words);
  }
  EXPECT_EQ(service_->tunnels(), 0u);
  EXPECT_LT(service_->waiting_bytes(), ExecService::kBacklogBytesMax + 2 * kLarge);
  MakeRoom();
  const std::vector<Said> said = TakeSaid();
  ASSERT_GE(said.size(), 2u);
  EXPECT_EQ(said[said.size() - 2], (Said{kFrames, session}));  // why not
  EXPECT_EQ(said.back(), (Said{kClose, session}));
}

}  // namespace
}  // namespace clustix::remote
