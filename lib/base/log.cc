// SPDX-License-Identifier: Apache-2.0
#include "lib/base/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "lib/base/mutex.h"

namespace clustix::base {
namespace {

constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

// There is one stderr per process; that, not convenience, is why these are global.
std::atomic<LogLevel> lowest_level = LogLevel::kInfo;
Mutex sink_mutex;

LogSink& Sink() ABSL_EXCLUSIVE_LOCKS_REQUIRED(sink_mutex) {
  static LogSink* sink = new LogSink;  // never destroyed: threads may log until the process ends
  return *sink;
}

void AppendTime(std::string& line) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  tm utc;
  gmtime_r(&now.tv_sec, &utc);
  char text[48];
  size_t bytes = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  line.append(text, bytes);
  snprintf(text, sizeof text, ".%03ldZ", now.tv_nsec / 1'000'000);
  line.append(text);
}

bool IsPlain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         std::string_view("-_.:/,+@%[]()<>*#~").find(c) != std::string_view::npos;
}

// Bytes from 0x80 on pass: they are UTF-8 names. Control characters do not.
void AppendEscaped(std::string& line, std::string_view text) {
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      line += escaped;
    } else {
      line += c;
    }
  }
}

void AppendValue(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (char c : value) plain = plain && IsPlain(c);
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  AppendEscaped(line, value);
  line += '"';
}

// A log that cannot be written is lost; there is nobody left to tell.
void WriteToStderr(std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

std::string_view LogLevelName(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }

std::optional<LogLevel> ParseLogLevel(std::string_view name) {
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

bool LogEnabled(LogLevel level) { return level >= lowest_level.load(std::memory_order_relaxed); }

void SetLogLevel(LogLevel level) { lowest_level.store(level, std::memory_order_relaxed); }

void SetLogSink(LogSink sink) {
  MutexLock lock(sink_mutex);
  Sink() = std::move(sink);
}

void Log(LogLevel level, std::string_view component, std::string_view message,
         std::initializer_list<LogField> fields) {
  if (!LogEnabled(level)) return;
  const int saved_errno = errno;
  std::string line;
  line.reserve(160);
  AppendTime(line);
  line += ' ';
  line += LogLevelName(level);
  line += ' ';
  line += component;
  line += ": ";
  AppendEscaped(line, message);
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    AppendValue(line, field.value);
  }
  {
    MutexLock lock(sink_mutex);
    if (Sink()) {
      Sink()(line);
    } else {
      line += '\n';
      WriteToStderr(line);
    }
  }
  errno = saved_errno;
}

}  // namespace clustix::base
