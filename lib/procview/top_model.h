// SPDX-License-Identifier: Apache-2.0
//
// `clustix top` without its terminal: keys change what is shown, and what is shown becomes lines.
// A value; one thread.
#ifndef CLUSTIX_LIB_PROCVIEW_TOP_MODEL_H_
#define CLUSTIX_LIB_PROCVIEW_TOP_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/procview/top_table.h"

namespace clustix::procview {

// Characters are themselves; these are above all of them.
enum TopKey : int {
  kKeyUp = 0x110000,
  kKeyDown,
  kKeyPageUp,
  kKeyPageDown,
  kKeyHome,
  kKeyEnd,
  kKeyEnter,
  kKeyEscape,
  kKeyBackspace,
  kKeyF1,
  kKeyF3,
  kKeyF4,
  kKeyF9,
  kKeyF10,
};

struct TopLine {
  enum class Style { kPlain, kTitle, kHeader, kSelected, kStale, kPrompt };
  std::string text;  // UTF-8, at most as many characters as the screen has columns
  Style style = Style::kPlain;
};

// What the driver is to do about a key.
struct TopAction {
  enum class Kind { kNone, kQuit, kSignal };
  Kind kind = Kind::kNone;
  int32_t gpid = 0;  // kSignal: to whom, if it still is the process that was shown
  uint64_t start_ticks = 0;
  int signal = 0;
};

class TopModel {
 public:
  void Update(TopTable table);  // ignored while paused
  TopAction Press(int key);
  // One line about the last action, shown until the next key.
  void Say(std::string message) { message_ = std::move(message); }
  bool paused() const { return paused_; }

  // Exactly `rows` lines, whatever the size; keeps the selected process in sight.
  std::vector<TopLine> Lines(size_t rows, size_t columns);
  // Everything as plain text, for scripts. `columns` 0: lines are not cut.
  std::string Text(size_t columns) const;

 private:
  enum class Mode { kList, kFilter, kSearch, kSignal, kHelp };
  enum class Sort { kCpu, kMemory, kTime, kPid };

  TopAction PressInList(int key);
  bool Navigate(int key);
  bool Choose(int key);
  void PressInPrompt(int key, std::string* text);
  TopAction PressInSignals(int key);
  void Arrange();
  void Select(size_t index);
  size_t SelectedIndex() const;
  void Move(std::ptrdiff_t by);
  void ShowNode(uint16_t node);
  void SearchFrom(size_t index);

  std::string Title() const;
  std::vector<TopLine> NodeLines(size_t most, size_t columns) const;
  std::vector<TopLine> SignalLines() const;
  std::string BottomLine() const;

  TopTable table_;
  std::vector<const TopProcess*> shown_;  // filtered and sorted, into table_
  Mode mode_ = Mode::kList;
  Sort sort_ = Sort::kCpu;
  bool paused_ = false;
  uint16_t node_ = 0;  // 0: all
  std::string filter_, search_, message_;
  int32_t selected_ = 0;             // a global pid
  size_t first_ = 0;                 // of shown_, in the first line of the list
  size_t page_ = 10;                 // lines of the list on the last screen
  size_t signal_ = 0;                // of the menu
  uint64_t target_start_ticks_ = 0;  // with selected_, whom the menu is about
};

}  // namespace clustix::procview

#endif  // CLUSTIX_LIB_PROCVIEW_TOP_MODEL_H_
