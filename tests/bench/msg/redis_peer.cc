// SPDX-License-Identifier: Apache-2.0
//
// The peer `redis`: a Redis server and hiredis. ECHO is the request and its reply, pipelined in
// async; SET, with replies switched off, is the one-way message, and Redis' own count of SET
// commands proves that all have arrived. Commands are formatted once, and stamped with their
// number. Redis serves commands in one thread; hiredis has none.
#include <hiredis/hiredis.h>

#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/bench/msg/library_peer.h"
#include "tests/bench/msg/peer.h"
#include "tests/bench/msg/redis_server.h"

namespace clustix::bench {
namespace {

// One-way commands are gathered until they are so many bytes.
constexpr size_t kBatchBytes = 64u << 10;

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};

// A command as it is sent, whose last argument is a payload.
class Command {
 public:
  Command(const std::vector<std::string>& words, size_t payload_bytes)
      : payload_bytes_(payload_bytes) {
    bytes_ = absl::StrCat("*", words.size() + 1, "\r\n");
    for (const std::string& word : words) {
      absl::StrAppend(&bytes_, "$", word.size(), "\r\n", word, "\r\n");
    }
    absl::StrAppend(&bytes_, "$", payload_bytes, "\r\n", std::string(payload_bytes, '\0'), "\r\n");
  }

  const std::string& Stamped(uint64_t number) {
    StampPayload(bytes_.data() + bytes_.size() - std::strlen("\r\n") - payload_bytes_,
                 payload_bytes_, number);
    return bytes_;
  }

 private:
  const size_t payload_bytes_;
  std::string bytes_;
};

class RedisClient : public Client {
 public:
  absl::Status Connect(const PeerOptions& options) override {
    ASSIGN_OR_RETURN(base::UniqueFd fd, ConnectTcp(options));
    context_.reset(redisConnectFd(fd.Release()));
    if (context_ == nullptr || context_->err != 0) return Failed();
    // Keep the buffer between large replies.
    context_->reader->maxbuf = 0;
    return absl::OkStatus();
  }

  absl::StatusOr<int> ServerPid(int) override {
    ASSIGN_OR_RETURN(const uint64_t pid, Info("server", "process_id:"));
    return static_cast<int>(pid);
  }

  absl::Status Run(const Case& what, Meter& meter) override {
    return what.mode == Mode::kOneway ? Sets(what.size_bytes, meter) : Echoes(what, meter);
  }

 private:
  absl::Status Failed() const {
    return absl::UnavailableError(
        absl::StrCat("Redis: ", context_ == nullptr ? "no memory" : context_->errstr));
  }

  absl::Status Append(const std::string& command) {
    if (redisAppendFormattedCommand(context_.get(), command.data(), command.size()) != REDIS_OK) {
      return Failed();
    }
    return absl::OkStatus();
  }

  // Sends what is gathered.
  absl::Status Flush() {
    for (int done = 0; done == 0;) {
      if (redisBufferWrite(context_.get(), &done) != REDIS_OK) return Failed();
    }
    return absl::OkStatus();
  }

  // A reply is one that Redis gave, and not an error.
  absl::StatusOr<Reply> Answer(int result, void* reply) const {
    if (result != REDIS_OK) return Failed();
    Reply owned(static_cast<redisReply*>(reply));
    if (owned != nullptr && owned->type == REDIS_REPLY_ERROR) {
      return absl::InternalError(absl::StrCat("Redis: ", owned->str));
    }
    return owned;
  }
  absl::StatusOr<Reply> Await() {
    void* reply = nullptr;
    const int result = redisGetReply(context_.get(), &reply);
    return Answer(result, reply);
  }
  // Null when no whole reply has been read.
  absl::StatusOr<Reply> Next() {
    void* reply = nullptr;
    const int result = redisGetReplyFromReader(context_.get(), &reply);
    return Answer(result, reply);
  }

  absl::StatusOr<Reply> Ask(const std::vector<const char*>& words) {
    char* command = nullptr;
    const int length = redisFormatCommandArgv(&command, static_cast<int>(words.size()),
                                              const_cast<const char**>(words.data()), nullptr);
    if (length < 0) return absl::InternalError("Redis: cannot format a command");
    const absl::Status appended = Append(std::string(command, static_cast<size_t>(length)));
    redisFreeCommand(command);
    RETURN_IF_ERROR(appended);
    return Await();
  }

  // A number that INFO tells after `key`; 0 if it does not tell of it.
  absl::StatusOr<uint64_t> Info(const char* section, absl::string_view key) {
    ASSIGN_OR_RETURN(const Reply reply, Ask({"INFO", section}));
    const absl::string_view text(reply->str, reply->len);
    const size_t at = text.find(key);
    if (at == absl::string_view::npos) return 0;
    const absl::string_view rest = text.substr(at + key.size());
    uint64_t value = 0;
    if (!absl::SimpleAtoi(rest.substr(0, rest.find_first_not_of("0123456789")), &value)) {
      return absl::InternalError("Redis: INFO is not understood");
    }
    return value;
  }

  absl::Status Echoes(const Case& what, Meter& meter) {
    Command echo({"ECHO"}, what.size_bytes);
    const size_t window = WindowOf(what);
    std::deque<uint64_t> begins;  // of the requests outstanding; replies come in their order
    uint64_t sent = 0, received = 0;
    while (true) {
      while (begins.size() < window && meter.running()) {
        begins.push_back(meter.Begin());
        RETURN_IF_ERROR(Append(echo.Stamped(sent++)));
      }
      if (begins.empty()) return absl::OkStatus();
      // Sends, and reads what there is: at least one reply.
      ASSIGN_OR_RETURN(Reply reply, Await());
      while (reply != nullptr) {
        RETURN_IF_ERROR(CheckEcho(reply->str, reply->len, what.size_bytes, received++));
        meter.End(begins.front());
        begins.pop_front();
        ASSIGN_OR_RETURN(reply, Next());
      }
    }
  }

  absl::Status Sets(size_t size_bytes, Meter& meter) {
    Command set({"SET", "key"}, size_bytes);
    RETURN_IF_ERROR(Ask({"CONFIG", "RESETSTAT"}).status());
    RETURN_IF_ERROR(Append("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$3\r\nOFF\r\n"));
    uint64_t sent = 0;
    size_t gathered_bytes = 0;
    while (meter.running()) {
      const uint64_t begin = meter.Begin();
      const std::string& command = set.Stamped(sent++);
      RETURN_IF_ERROR(Append(command));
      gathered_bytes += command.size();
      if (gathered_bytes >= kBatchBytes) {
        RETURN_IF_ERROR(Flush());
        gathered_bytes = 0;
      }
      meter.End(begin);
    }
    // The first that is replied to again.
    RETURN_IF_ERROR(Ask({"CLIENT", "REPLY", "ON"}).status());
    ASSIGN_OR_RETURN(const uint64_t counted, Info("commandstats", "cmdstat_set:calls="));
    return CheckCount(counted, sent);
  }

  std::unique_ptr<redisContext, FreeContext> context_;
};

}  // namespace
}  // namespace clustix::bench

int main(int argc, char** argv) {
  using namespace clustix::bench;
  Peer peer;
  peer.name = "redis";
  peer.title = "Redis";
  peer.modes = {Mode::kSync, Mode::kAsync, Mode::kOneway};
  peer.make_server = [] { return std::make_unique<RedisServer>(); };
  peer.make_client = [] { return std::make_unique<RedisClient>(); };
  return PeerMain(argc, argv, peer);
}
