// SPDX-License-Identifier: Apache-2.0
//
// Text in columns, as commands print it. Pure.
#ifndef CLUSTIX_DAEMON_COMMAND_TABLE_H_
#define CLUSTIX_DAEMON_COMMAND_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace clustix::command {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string header;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // As many cells as there are columns.
  void Add(std::vector<std::string> cells);
  // Two blanks between columns, none at the end of a line. Widths count UTF-8 characters.
  std::string Render() const;

 private:
  std::string RenderLine(const std::vector<std::string>& cells,
                         const std::vector<size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// "42 s", "3 min 5 s", "2 h 10 min", "5 d 3 h".
std::string FormatDuration(uint64_t ms);
// "512 B", "1.4 MiB".
std::string FormatBytes(uint64_t bytes);

}  // namespace clustix::command

#endif  // CLUSTIX_DAEMON_COMMAND_TABLE_H_
