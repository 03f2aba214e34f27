// SPDX-License-Identifier: Apache-2.0
//
// The log: one line per event on stderr, made for people and for grep alike:
//
//   2026-01-31T08:15:30.123Z warning io: accept failed error="Too many open files" listener=3
//
// A value with anything but plain characters is quoted and escaped, so that what a stranger sent
// cannot forge a line. Any thread; a line is written by one write(2), so lines do not mix.
#ifndef CLUSTIX_LIB_BASE_LOG_H_
#define CLUSTIX_LIB_BASE_LOG_H_

#include <concepts>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace clustix::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

std::string_view LogLevelName(LogLevel level);
// "debug", "info", "warning" or "error".
std::optional<LogLevel> ParseLogLevel(std::string_view name);

// key=value. Implicit, so that a call reads Log(..., {{"peer", 3}, {"error", status}}).
struct LogField {
  LogField(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, const std::string& text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, const char* text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, bool truth)
      : key(field_key), value(truth ? "true" : "false") {}
  LogField(std::string_view field_key, const absl::Status& status)
      : key(field_key), value(status.ToString()) {}
  template <std::integral Number>
  LogField(std::string_view field_key, Number number)
      : key(field_key), value(std::to_string(number)) {}

  std::string_view key;
  std::string value;
};

// Writes a line if `level` is at least the level set. `component` is the part that speaks, for
// instance "io"; `message` is a constant text, what varies goes into fields.
void Log(LogLevel level, std::string_view component, std::string_view message,
         std::initializer_list<LogField> fields = {});
bool LogEnabled(LogLevel level);

// The lowest level that is written; kInfo at start.
void SetLogLevel(LogLevel level);

// Replaces stderr, for tests; nullptr restores it. Called with the line without its newline, by one
// thread at a time.
using LogSink = std::function<void(std::string_view line)>;
void SetLogSink(LogSink sink);

}  // namespace clustix::base

#endif  // CLUSTIX_LIB_BASE_LOG_H_
