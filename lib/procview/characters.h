// SPDX-License-Identifier: Apache-2.0
//
// Texts in UTF-8 on a screen: their characters, not their bytes, take its columns.
#ifndef CLUSTIX_LIB_PROCVIEW_CHARACTERS_H_
#define CLUSTIX_LIB_PROCVIEW_CHARACTERS_H_

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace clustix::procview {

// Whether it goes on with a character that an earlier byte began.
inline bool IsContinuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

inline size_t Characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

// The first characters of a text, at most so many.
inline std::string_view CutCharacters(std::string_view text, size_t characters_max) {
  size_t end = 0;
  for (; end < text.size(); ++end) {
    if (!IsContinuation(text[end]) && characters_max-- == 0) break;
  }
  return text.substr(0, end);
}

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_CHARACTERS_H_
