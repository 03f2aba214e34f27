// SPDX-License-Identifier: Apache-2.0
// The C++ API: what clustix/node.h and clustix/completion_queue.h promise beyond the messenger.
#include "clustix/node.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "clustix/completion_queue.h"

namespace clustix {
namespace {

using ::testing::HasSubstr;

constexpr Port kEcho = 1000;
constexpr Port kKeep = 1001;  // never answers
constexpr uint64_t kDeadlineMs = 20'000;

Bytes AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }
std::string AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

NodeOptions Options(NodeId node, PeerAddress peer) {
  NodeOptions options;
  options.node = node;
  options.cluster.fill(0xc1);
  options.key.fill(0x5e);
  options.listen_address = "127.0.0.1:0";
  options.peers = {std::move(peer)};
  return options;
}

std::unique_ptr<Node> Open(const NodeOptions& options) {
  Result<std::unique_ptr<Node>> node = Node::Open(options);
  EXPECT_TRUE(node.ok()) << node.error().message;
  return node ? *std::move(node) : nullptr;
}

// Node 2, on a thread of its own.
class Server {
 public:
  Server() : thread_([this] { Serve(); }) { node_ = opened_.get_future().get(); }
  ~Server() {
    node_->Stop();
    thread_.join();
  }
  const std::string& address() const { return node_->address(); }

 private:
  void Serve() {
    const std::unique_ptr<Node> node = Open(Options(2, {1, ""}));
    Messenger& messenger = node->messenger();
    messenger.Handle(kEcho, [&](const Incoming& call) {
      messenger.Answer(call.from, call.lane, call.request, 0, call.payload);
    });
    messenger.Handle(kKeep, [](const Incoming&) {});
    opened_.set_value(node.get());
    node->Run();
  }

  std::promise<Node*> opened_;
  Node* node_ = nullptr;
  std::thread thread_;  // last: it uses the others
};

TEST(Node, A_wrong_option_is_an_error_that_names_it) {
  const Result<std::unique_ptr<Node>> node = Node::Open(Options(600, {1, ""}));
  ASSERT_FALSE(node.ok());
  EXPECT_EQ(node.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(node.error().message, HasSubstr("node is 600, expected 1 to 511"));
}

TEST(Node, A_sync_call_ends_with_the_answer_or_the_deadline) {
  Server server;
  const std::unique_ptr<Node> node = Open(Options(1, {2, server.address()}));
  const Reply reply = node->CallAndWait(2, kEcho, AsBytes("hello"));
  EXPECT_EQ(reply.outcome, Outcome::kOk);
  EXPECT_EQ(AsText(reply.payload), "hello");
  EXPECT_EQ(node->CallAndWait(2, kKeep, {}, {.timeout_ms = 20}).outcome, Outcome::kDeadline);
  EXPECT_EQ(node->CallAndWait(9, kEcho, {}).outcome, Outcome::kNoSuchPeer);
}

TEST(Node, A_stop_during_a_sync_call_ends_the_next_run) {
  Server server;
  const std::unique_ptr<Node> node = Open(Options(1, {2, server.address()}));
  node->Post([&] { node->Stop(); });
  EXPECT_EQ(node->CallAndWait(2, kEcho, AsBytes("hello")).outcome, Outcome::kOk);
  EXPECT_TRUE(node->RunFor(kDeadlineMs));
  EXPECT_FALSE(node->RunFor(0));
}

// Seen by ThreadSanitizer: the one that stops it is still at that while the node goes.
TEST(Node, May_go_as_soon_as_another_thread_has_stopped_it) {
  for (int i = 0; i < 20; ++i) {
    Server stopped_by_stop;
    std::promise<Node*> opened;
    std::thread thread([&] {
      const std::unique_ptr<Node> node = Open(Options(1, {2, "127.0.0.1:1"}));
      opened.set_value(node.get());
      node->Run();
    });
    Node* const stopped_by_post = opened.get_future().get();
    stopped_by_post->Post([stopped_by_post] { stopped_by_post->Stop(); });
    thread.join();
  }
}

TEST(Node, Posted_tasks_run_in_order_or_never) {
  std::unique_ptr<Node> node = Open(Options(1, {2, "127.0.0.1:1"}));
  std::string ran;
  node->Post([&] { ran += "a"; });
  node->Post([&] { ran += "b"; });
  EXPECT_FALSE(node->RunFor(0));
  EXPECT_EQ(ran, "ab");
  node->Post([&] { ran += "c"; });
  node.reset();
  EXPECT_EQ(ran, "ab");
}

TEST(Node, Knows_its_thread_and_its_callbacks) {
  const std::unique_ptr<Node> node = Open(Options(1, {2, "127.0.0.1:1"}));
  EXPECT_TRUE(node->OnOwnThread());
  EXPECT_FALSE(node->InCallback());
  std::thread([&] { EXPECT_FALSE(node->OnOwnThread()); }).join();
  bool in_callback = false;
  node->Post([&] { in_callback = node->InCallback(); });
  node->RunFor(0);
  EXPECT_TRUE(in_callback);
  EXPECT_FALSE(node->InCallback());
}

TEST(Node, That_was_closed_knows_nobody_and_may_be_turned) {
  Server server;
  const std::unique_ptr<Node> node = Open(Options(1, {2, server.address()}));
  CompletionQueue queue(*node);
  EXPECT_EQ(queue.Call(2, kKeep, {}, {.timeout_ms = 0}, 7), Outcome::kOk);
  node->Close();
  node->Close();
  EXPECT_EQ(node->CallAndWait(2, kEcho, {}).outcome, Outcome::kNoSuchPeer);
  EXPECT_EQ(node->messenger().Send(2, kEcho, {}), Outcome::kNoSuchPeer);
  std::array<Completion, 4> done;
  ASSERT_EQ(queue.Next(done, kDeadlineMs), 1u);
  EXPECT_EQ(done[0].tag, 7u);
  EXPECT_EQ(done[0].outcome, Outcome::kNotDelivered);
  EXPECT_FALSE(node->RunFor(1));
}

TEST(NodeDeathTest, Misuse_ends_the_process_and_names_the_function) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::unique_ptr<Node> node = Open(Options(1, {2, "127.0.0.1:1"}));
  EXPECT_DEATH(
      {
        node->Post([&] { node->CallAndWait(2, kEcho, {}); });
        node->Run();
      },
      "Node::CallAndWait.*from within one of the node's callbacks");
  EXPECT_DEATH(std::thread([&] { node->Run(); }).join(), "Node::RunFor.*another thread");
  EXPECT_DEATH(
      {
        auto queue = std::make_unique<CompletionQueue>(*node);
        Completion done;
        node->Post([&] { queue.reset(); });
        queue->Next(std::span(&done, 1), 1);
      },
      "~CompletionQueue.*from within one of the node's callbacks");
}

TEST(CompletionQueue, Forgets_its_calls_when_it_goes) {
  Server server;
  const std::unique_ptr<Node> node = Open(Options(1, {2, server.address()}));
  {
    CompletionQueue queue(*node);
    EXPECT_EQ(queue.Call(2, kEcho, AsBytes("x"), {}, 1), Outcome::kOk);
    EXPECT_EQ(queue.Send(2, kKeep, AsBytes("x"), Lane::kBulk, 2), Outcome::kOk);
    EXPECT_EQ(queue.outstanding(), 2u);
  }
  EXPECT_EQ(node->CallAndWait(2, kEcho, {}).outcome, Outcome::kOk);
}

// A call that never ends by itself, and whose queue is gone: the node's end completes it.
TEST(CompletionQueue, May_go_before_calls_that_end_with_the_node) {
  Server server;
  const std::unique_ptr<Node> node = Open(Options(1, {2, server.address()}));
  std::optional<CompletionQueue> queue(std::in_place, *node);
  EXPECT_EQ(queue->Call(2, kKeep, {}, {.timeout_ms = 0}, 1), Outcome::kOk);
  EXPECT_EQ(node->CallAndWait(2, kEcho, {}).outcome, Outcome::kOk);
  queue.reset();
}

TEST(CompletionQueue, Tells_time_from_stop) {
  const std::unique_ptr<Node> node = Open(Options(1, {2, "127.0.0.1:1"}));
  CompletionQueue queue(*node);
  std::array<Completion, 4> done;
  bool stopped = true;
  EXPECT_EQ(queue.Next(done, 1, &stopped), 0u);
  EXPECT_FALSE(stopped);
  std::thread([&] { node->Stop(); }).join();
  EXPECT_EQ(queue.Next(done, Node::kForever, &stopped), 0u);
  EXPECT_TRUE(stopped);
}

// What ends while others are being harvested keeps its order and its own payload.
TEST(CompletionQueue, Keeps_what_arrives_while_it_is_harvested) {
  constexpr uint64_t kCalls = 300;
  Server server;
  const std::unique_ptr<Node> node = Open(Options(1, {2, server.address()}));
  CompletionQueue queue(*node);
  std::array<Completion, 7> done;
  uint64_t called = 0, harvested = 0;
  while (harvested < kCalls) {
    for (int i = 0; i < 10 && called < kCalls; ++i, ++called) {
      ASSERT_EQ(queue.Call(2, kEcho, AsBytes(std::to_string(called)), {}, called), Outcome::kOk);
    }
    const size_t count = queue.Next(done, kDeadlineMs);
    ASSERT_GT(count, 0u);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(done[i].tag, harvested++);
      EXPECT_EQ(AsText(done[i].payload), std::to_string(done[i].tag));
    }
    EXPECT_EQ(queue.outstanding(), called - harvested);
  }
}

}  // namespace
}  // namespace clustix
