// SPDX-License-Identifier: Apache-2.0
//
// Whether a text is well-formed XML of the kind that svg.cc writes: elements, attributes in double
// quotes and text; no comments, processing instructions or CDATA. For the tests.
#ifndef CLUSTIX_TESTS_UNIT_BENCH_XML_CHECK_H_
#define CLUSTIX_TESTS_UNIT_BENCH_XML_CHECK_H_

#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace clustix::bench {

// What is wrong, with the place; empty if nothing is.
inline std::string WhatIsMalformed(const std::string& xml) {
  static const std::regex tag(
      R"re(</?([A-Za-z]+)((\s+[A-Za-z:][A-Za-z0-9:-]*="[^"<]*")*)\s*(/?)>)re");
  static const std::regex entity("&(amp|lt|gt|quot);");
  auto near = [&xml](size_t at) { return " at: " + xml.substr(at, 60); };
  std::vector<std::string> open;
  size_t at = 0;
  while (at < xml.size()) {
    std::smatch match;
    auto here = xml.cbegin() + static_cast<std::ptrdiff_t>(at);
    if (xml[at] == '<') {
      if (!std::regex_search(here, xml.cend(), match, tag,
                             std::regex_constants::match_continuous)) {
        return "a tag that is none" + near(at);
      }
      if (xml[at + 1] == '/') {
        if (open.empty() || open.back() != match[1]) return "the wrong end" + near(at);
        open.pop_back();
      } else if (match[4].length() == 0) {
        open.push_back(match[1]);
      }
    } else if (xml[at] == '&') {
      if (!std::regex_search(here, xml.cend(), match, entity,
                             std::regex_constants::match_continuous)) {
        return "an entity that is none" + near(at);
      }
    } else {
      if (open.empty() && xml[at] != '\n') return "text outside of the document" + near(at);
      ++at;
      continue;
    }
    at += static_cast<size_t>(match.length());
    if (open.empty() && at + 1 < xml.size()) return "more than one document" + near(at);
  }
  return open.empty() ? "" : "no end of " + open.back();
}

}  // namespace clustix::bench

#endif  // CLUSTIX_TESTS_UNIT_BENCH_XML_CHECK_H_
