// SPDX-License-Identifier: Apache-2.0
//
// Keeps 64 calls under way and harvests many answers at a time. Each node has its own thread here.
#include <clustix/completion_queue.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <thread>

using namespace clustix;
constexpr Port kSquare = 1000;
constexpr uint64_t kCalls = 1000, kUnderWay = 64;

Bytes AsBytes(const uint64_t& number) { return std::as_bytes(std::span(&number, 1)); }
uint64_t AsNumber(Bytes bytes) {
  uint64_t number = 0;
  if (bytes.size() == sizeof number) std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

std::unique_ptr<Node> Open(NodeId node, PeerAddress peer) {
  NodeOptions options{.node = node, .listen_address = "127.0.0.1:0", .peers = {peer}};
  options.cluster.fill(0xc1);
  options.key.fill(0x5e);  // a real cluster's: LoadKey()
  Result<std::unique_ptr<Node>> opened = Node::Open(options);
  if (opened) return *std::move(opened);
  std::fprintf(stderr, "%s\n", opened.error().message.c_str());
  std::exit(1);
}

void Serve(std::promise<Node*>& ready) {
  std::unique_ptr<Node> node = Open(2, {1, ""});  // node 1 dials: no address is needed here
  node->messenger().Handle(kSquare, [&](const Incoming& call) {
    const uint64_t number = AsNumber(call.payload);
    node->messenger().Answer(call.from, call.lane, call.request, 0, AsBytes(number * number));
  });
  ready.set_value(node.get());
  node->Run();
}

int main() {
  std::promise<Node*> ready;
  std::thread thread([&] { Serve(ready); });
  Node* const server = ready.get_future().get();
  const std::unique_ptr<Node> node = Open(1, {2, server->address()});
  CompletionQueue queue(*node);
  uint64_t called = 0, sum = 0, failed = 0;
  while (called < kCalls || queue.outstanding() > 0) {
    for (; called < kCalls && queue.outstanding() < kUnderWay; ++called)
      if (queue.Call(2, kSquare, AsBytes(called), {}, called) != Outcome::kOk) ++failed;
    Completion done[kUnderWay];
    for (size_t i = 0, count = queue.Next(done); i < count; ++i)
      done[i].outcome == Outcome::kOk ? sum += AsNumber(done[i].payload) : ++failed;
  }
  std::printf("sum of squares: %d, failed: %d\n", static_cast<int>(sum), static_cast<int>(failed));
  server->Stop();
  thread.join();
}
