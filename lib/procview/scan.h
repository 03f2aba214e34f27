// SPDX-License-Identifier: Apache-2.0
//
// The few scanning primitives that the parsers of /proc texts share. Pure; private to the layer.
// They never read past the view handed in and report bad input by an empty optional.
#ifndef CLUSTIX_LIB_PROCVIEW_SCAN_H_
#define CLUSTIX_LIB_PROCVIEW_SCAN_H_

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace clustix::procview {

// A whole decimal number of type T: no blanks, no sign for unsigned types, no overflow.
template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

// Takes the next word (blanks are ' ' and '\t') off the front of `text`; empty at its end.
inline std::string_view NextWord(std::string_view* text) {
  const size_t start = text->find_first_not_of(" \t");
  if (start == std::string_view::npos) {
    *text = {};
    return {};
  }
  text->remove_prefix(start);
  const size_t length = std::min(text->find_first_of(" \t"), text->size());
  const std::string_view word = text->substr(0, length);
  text->remove_prefix(length);
  return word;
}

// Takes the next line, without its newline, off the front of `text`; empty optional at its end.
inline std::optional<std::string_view> NextLine(std::string_view* text) {
  if (text->empty()) return std::nullopt;
  const size_t newline = text->find('\n');
  const std::string_view line = text->substr(0, newline);
  text->remove_prefix(newline == std::string_view::npos ? text->size() : newline + 1);
  return line;
}

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_SCAN_H_
