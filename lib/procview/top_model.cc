// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/top_model.h"

#include <signal.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <utility>

#include "lib/procview/characters.h"

namespace clustix::procview {
namespace {

using Style = TopLine::Style;

struct MenuSignal {
  int number;
  const char* name;
};
constexpr std::array<MenuSignal, 10> kSignals = {{{SIGTERM, "TERM"},
                                                  {SIGKILL, "KILL"},
                                                  {SIGHUP, "HUP"},
                                                  {SIGINT, "INT"},
                                                  {SIGQUIT, "QUIT"},
                                                  {SIGUSR1, "USR1"},
                                                  {SIGUSR2, "USR2"},
                                                  {SIGCONT, "CONT"},
                                                  {SIGSTOP, "STOP"},
                                                  {SIGABRT, "ABRT"}}};

constexpr std::array<const char*, 13> kHelp = {
    "Up Down PgUp PgDn Home End   select a process",
    "P M T N      sort by processor, memory, time, pid",
    "F4 \\         show only commands that hold a text",
    "F3 /         find a command; again: the next",
    "n            the next node alone, then all again",
    "1 to 9, 0    that node alone; all",
    "F9 k         send a signal to the selected process",
    "space p      pause, go on",
    "F1 h ?       this help",
    "F10 q        quit",
    "",
    "GPID: node * 4194304 + the node's own pid.",
    "A node marked ! does not answer: its last figures, and their age."};

struct Column {
  const char* header;
  size_t width;
  bool right;
  int rank;  // the larger, the sooner it is left out of a narrow screen
  std::string (*cell)(const TopProcess&);
};

std::string Format(const char* format, double value) {
  char text[48];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string Bytes(double bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"%.0fB", "%.0fK", "%.1fM", "%.1fG",
                                                        "%.1fT"};
  size_t unit = 0;
  for (; unit + 1 < kUnits.size() && bytes >= 1024; ++unit) bytes /= 1024;
  return Format(kUnits[unit], bytes);
}

std::string Age(uint64_t age_ms) {
  if (age_ms < 60'000) return Format("%.1fs", double(age_ms) / 1000);
  return std::to_string(age_ms / 60'000) + "min";
}

std::string CpuTime(uint64_t ms) {
  char text[48];
  std::snprintf(text, sizeof text, "%llu:%02llu.%02llu",
                static_cast<unsigned long long>(ms / 60'000),
                static_cast<unsigned long long>(ms / 1000 % 60),
                static_cast<unsigned long long>(ms / 10 % 100));
  return text;
}

// The command comes after these.
constexpr std::array<Column, 10> kColumns = {
    {{"GPID", 10, true, 0, [](const TopProcess& p) { return std::to_string(p.row.gpid); }},
     {"NODE", 4, true, 3, [](const TopProcess& p) { return std::to_string(p.row.node); }},
     {"USER", 9, false, 4, [](const TopProcess& p) { return p.user; }},
     {"PR", 3, true, 8, [](const TopProcess& p) { return std::to_string(p.row.stat.priority); }},
     {"NI", 3, true, 7, [](const TopProcess& p) { return std::to_string(p.row.stat.nice); }},
     {"RES", 7, true, 5, [](const TopProcess& p) { return Bytes(double(p.row.rss_bytes)); }},
     {"S", 1, false, 2, [](const TopProcess& p) { return std::string(1, p.row.stat.state); }},
     {"%CPU", 5, true, 1, [](const TopProcess& p) { return Format("%.1f", p.cpu_percent); }},
     {"%MEM", 5, true, 6, [](const TopProcess& p) { return Format("%.1f", p.row.memory_percent); }},
     {"TIME+", 9, true, 9, [](const TopProcess& p) { return CpuTime(p.row.cpu_time_ms); }}}};
constexpr size_t kCommandColumnsMin = 14;

std::string Pad(std::string text, size_t width, bool right) {
  text = std::string(CutCharacters(text, width));
  const std::string blanks(width - Characters(text), ' ');
  return right ? blanks + text : text + blanks;
}

std::vector<const Column*> FittingColumns(size_t columns) {
  std::vector<const Column*> fitting;
  size_t width = kCommandColumnsMin;
  for (const Column& column : kColumns) {
    fitting.push_back(&column);
    width += column.width + 1;
  }
  while (columns != 0 && width > columns && fitting.size() > 1) {
    const auto least =
        std::max_element(fitting.begin(), fitting.end(),
                         [](const Column* a, const Column* b) { return a->rank < b->rank; });
    width -= (*least)->width + 1;
    fitting.erase(least);
  }
  return fitting;
}

std::string HeaderText(const std::vector<const Column*>& columns) {
  std::string line;
  for (const Column* column : columns)
    line += Pad(column->header, column->width, column->right) + " ";
  return line + "COMMAND";
}

std::string ProcessText(const TopProcess& process, const std::vector<const Column*>& columns) {
  std::string line;
  for (const Column* column : columns) {
    line += Pad(column->cell(process), column->width, column->right) + " ";
  }
  return line + process.row.args;
}

// "[|||||     ]"
std::string Bar(double share, size_t width) {
  share = std::clamp(share, 0.0, 1.0);
  const auto full = static_cast<size_t>(std::lround(share * double(width)));
  return "[" + std::string(full, '|') + std::string(width - full, ' ') + "]";
}

std::string NodeLine(const TopNode& node, size_t columns) {
  std::string line = Pad(std::to_string(node.id), 3, true) + (node.stale ? "!" : " ") +
                     Pad(node.name, 8, false) + " ";
  if (!node.known) return line + "never heard (" + node.state + ")";
  // That its figures are old comes first, or a narrow screen would cut it off.
  if (node.stale) line += node.state + ", " + Age(node.age_ms) + " old: ";
  // The bars take what is left of a wide screen; a narrow one has the figures alone.
  const size_t bar = columns < 84 || node.stale ? 0 : std::min<size_t>((columns - 64) / 2, 40);
  const NodeFigures& figures = node.figures;
  if (node.cpu_percent && bar > 0) line += Bar(*node.cpu_percent / 100, bar);
  line += node.cpu_percent ? Format("%5.1f%%", *node.cpu_percent) : "     -";
  line += " ";
  if (figures.memory_total_bytes && figures.memory_available_bytes) {
    const auto total = double(*figures.memory_total_bytes);
    const double used = total - double(*figures.memory_available_bytes);
    if (bar > 0 && total > 0) line += Bar(used / total, bar) + " ";
    line += Bytes(used) + "/" + Bytes(total);
  } else {
    line += "-";
  }
  if (figures.load_1min) line += Format(" load %.2f", *figures.load_1min);
  line += " " + std::to_string(node.processes) + " tasks";
  return line;
}

bool Contains(std::string_view text, std::string_view wanted) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return wanted.empty() ||
         std::search(text.begin(), text.end(), wanted.begin(), wanted.end(),
                     [lower](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

}  // namespace

void TopModel::Update(TopTable table) {
  if (paused_) return;
  table_ = std::move(table);
  Arrange();
}

void TopModel::Arrange() {
  shown_.clear();
  for (const TopProcess& process : table_.processes) {
    if (node_ != 0 && process.row.node != node_) continue;
    if (Contains(process.row.args, filter_)) shown_.push_back(&process);
  }
  // What is equal stays in the order of pids.
  auto by = [this](auto key) {
    std::stable_sort(shown_.begin(), shown_.end(),
                     [key](const TopProcess* a, const TopProcess* b) { return key(*a) > key(*b); });
  };
  switch (sort_) {
    case Sort::kCpu:
      return by([](const TopProcess& p) { return p.cpu_percent; });
    case Sort::kMemory:
      return by([](const TopProcess& p) { return p.row.rss_bytes; });
    case Sort::kTime:
      return by([](const TopProcess& p) { return p.row.cpu_time_ms; });
    case Sort::kPid:
      return;
  }
}

size_t TopModel::SelectedIndex() const {
  const auto at = std::find_if(shown_.begin(), shown_.end(), [this](const TopProcess* process) {
    return process->row.gpid == selected_;
  });
  return at == shown_.end() ? 0 : static_cast<size_t>(at - shown_.begin());
}

void TopModel::Select(size_t index) {
  selected_ = shown_.empty() ? 0 : shown_[std::min(index, shown_.size() - 1)]->row.gpid;
}

void TopModel::Move(std::ptrdiff_t by) {
  const auto index = static_cast<std::ptrdiff_t>(SelectedIndex()) + by;
  Select(static_cast<size_t>(std::max<std::ptrdiff_t>(index, 0)));
}

void TopModel::ShowNode(uint16_t node) {
  const bool is_there = std::any_of(table_.nodes.begin(), table_.nodes.end(),
                                    [node](const TopNode& other) { return other.id == node; });
  if (node != 0 && !is_there) {
    message_ = "there is no node " + std::to_string(node);
    return;
  }
  node_ = node;
  first_ = 0;
  Arrange();
  Select(0);
}

// From `index` on, and around.
void TopModel::SearchFrom(size_t index) {
  for (size_t i = 0; i < shown_.size() && !search_.empty(); ++i) {
    const size_t at = (index + i) % shown_.size();
    if (Contains(shown_[at]->row.args, search_)) return Select(at);
  }
  if (!search_.empty()) message_ = "no command holds \"" + search_ + "\"";
}

TopAction TopModel::Press(int key) {
  message_.clear();
  switch (mode_) {
    case Mode::kList:
      return PressInList(key);
    case Mode::kFilter:
      PressInPrompt(key, &filter_);
      Arrange();
      return {};
    case Mode::kSearch:
      PressInPrompt(key, &search_);
      SearchFrom(SelectedIndex());
      return {};
    case Mode::kSignal:
      return PressInSignals(key);
    case Mode::kHelp:
      mode_ = Mode::kList;
      return {};
  }
  return {};
}

// Whether the key selects a process.
bool TopModel::Navigate(int key) {
  const auto page = static_cast<std::ptrdiff_t>(page_);
  switch (key) {
    case kKeyUp:
      Move(-1);
      return true;
    case kKeyDown:
      Move(1);
      return true;
    case kKeyPageUp:
      Move(-page);
      return true;
    case kKeyPageDown:
      Move(page);
      return true;
    case kKeyHome:
      Select(0);
      return true;
    case kKeyEnd:
      Select(shown_.size());
      return true;
    default:
      return false;
  }
}

// Whether the key says in which order, or of which node.
bool TopModel::Choose(int key) {
  static constexpr std::pair<char, Sort> kSorts[] = {
      {'P', Sort::kCpu}, {'M', Sort::kMemory}, {'T', Sort::kTime}, {'N', Sort::kPid}};
  for (const auto& [letter, sort] : kSorts) {
    if (key != letter) continue;
    sort_ = sort;
    Arrange();
    return true;
  }
  if (key == 'n') {
    const auto next = std::find_if(table_.nodes.begin(), table_.nodes.end(),
                                   [this](const TopNode& node) { return node.id > node_; });
    ShowNode(next == table_.nodes.end() ? uint16_t{0} : next->id);
    return true;
  }
  if (key < '0' || key > '9') return false;
  ShowNode(static_cast<uint16_t>(key - '0'));
  return true;
}

TopAction TopModel::PressInList(int key) {
  if (Navigate(key) || Choose(key)) return {};
  switch (key) {
    case 'q':
    case kKeyF10:
      return {.kind = TopAction::Kind::kQuit};
    case kKeyF4:
    case '\\':
      mode_ = Mode::kFilter;
      break;
    case kKeyF3:
    case '/':
      if (!search_.empty() && key == kKeyF3) {
        SearchFrom(SelectedIndex() + 1);
      } else {
        search_.clear();
        mode_ = Mode::kSearch;
      }
      break;
    case kKeyF9:
    case 'k':
      if (shown_.empty()) break;
      Select(SelectedIndex());
      target_start_ticks_ = shown_[SelectedIndex()]->row.stat.starttime_ticks;
      signal_ = 0;
      mode_ = Mode::kSignal;
      break;
    case ' ':
    case 'p':
      paused_ = !paused_;
      break;
    case kKeyF1:
    case 'h':
    case '?':
      mode_ = Mode::kHelp;
      break;
    case kKeyEscape:
      filter_.clear();
      ShowNode(0);
      break;
    default:
      break;
  }
  return {};
}

// Takes effect with every key; Enter keeps it, Escape takes it back.
void TopModel::PressInPrompt(int key, std::string* text) {
  constexpr size_t kTextMax = 200;
  if (key == kKeyEnter) {
    mode_ = Mode::kList;
  } else if (key == kKeyEscape) {
    text->clear();
    mode_ = Mode::kList;
  } else if (key == kKeyBackspace) {
    while (!text->empty() && IsContinuation(text->back())) text->pop_back();
    if (!text->empty()) text->pop_back();
  } else if (key >= ' ' && key < 0x7f && text->size() < kTextMax) {
    text->push_back(static_cast<char>(key));
  }
}

TopAction TopModel::PressInSignals(int key) {
  switch (key) {
    case kKeyUp:
      signal_ = (signal_ + kSignals.size() - 1) % kSignals.size();
      return {};
    case kKeyDown:
      signal_ = (signal_ + 1) % kSignals.size();
      return {};
    case kKeyEnter:
      break;
    case kKeyEscape:
    case 'q':
      mode_ = Mode::kList;
      return {};
    default:
      return {};
  }
  mode_ = Mode::kList;
  const auto target = std::find_if(table_.processes.begin(), table_.processes.end(),
                                   [this](const TopProcess& process) {
                                     return process.row.gpid == selected_ &&
                                            process.row.stat.starttime_ticks == target_start_ticks_;
                                   });
  if (target == table_.processes.end()) {
    message_ = std::to_string(selected_) + " is gone";
    return {};
  }
  return {.kind = TopAction::Kind::kSignal,
          .gpid = selected_,
          .start_ticks = target_start_ticks_,
          .signal = kSignals[signal_].number};
}

std::string TopModel::Title() const {
  size_t stale = 0, running = 0;
  for (const TopNode& node : table_.nodes) stale += node.stale ? 1 : 0;
  for (const TopProcess& process : table_.processes)
    running += process.row.stat.state == 'R' ? 1 : 0;
  std::string title = "clustix top: " + std::to_string(table_.nodes.size()) + " nodes";
  if (stale > 0) title += ", " + std::to_string(stale) + " stale";
  title += ", " + std::to_string(table_.processes.size()) + " processes, " +
           std::to_string(running) + " running";
  if (node_ != 0) title += ", node " + std::to_string(node_) + " shown";
  if (!filter_.empty()) title += ", filter \"" + filter_ + "\"";
  return title + (paused_ ? ", PAUSED" : "");
}

std::vector<TopLine> TopModel::NodeLines(size_t most, size_t columns) const {
  std::vector<TopLine> lines;
  for (const TopNode& node : table_.nodes) {
    if (lines.size() == most) break;
    lines.push_back({NodeLine(node, columns), node.stale ? Style::kStale : Style::kPlain});
  }
  if (lines.size() < table_.nodes.size() && !lines.empty()) {
    const size_t left = table_.nodes.size() - lines.size() + 1;
    lines.back() = {"    and " + std::to_string(left) + " more nodes", Style::kPlain};
  }
  return lines;
}

std::vector<TopLine> TopModel::SignalLines() const {
  std::vector<TopLine> lines;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    lines.push_back({Pad(std::to_string(kSignals[i].number), 4, true) + " " + kSignals[i].name,
                     i == signal_ ? Style::kSelected : Style::kPlain});
  }
  return lines;
}

std::string TopModel::BottomLine() const {
  if (!message_.empty()) return message_;
  switch (mode_) {
    case Mode::kFilter:
      return "Filter: " + filter_ + "_";
    case Mode::kSearch:
      return "Search: " + search_ + "_";
    case Mode::kSignal:
      return "Signal to " + std::to_string(selected_) + ": Enter sends, Esc does not";
    case Mode::kHelp:
      return "Any key goes back";
    case Mode::kList:
      break;
  }
  return "F1 Help F3 Search F4 Filter F9 Kill q Quit";
}

std::vector<TopLine> TopModel::Lines(size_t rows, size_t columns) {
  std::vector<TopLine> lines = {{Title(), Style::kTitle}};
  if (mode_ == Mode::kHelp) {
    for (const char* line : kHelp) lines.push_back({line, Style::kPlain});
  } else {
    for (TopLine& line : NodeLines(std::max<size_t>(rows / 3, 1), columns)) {
      lines.push_back(std::move(line));
    }
    if (mode_ == Mode::kSignal) {
      // A short screen shows the part of the menu in which the choice is.
      std::vector<TopLine> menu = SignalLines();
      const size_t room = rows > lines.size() + 1 ? rows - lines.size() - 1 : 1;
      const size_t skip = signal_ >= room ? signal_ - room + 1 : 0;
      lines.insert(lines.end(), menu.begin() + static_cast<std::ptrdiff_t>(skip), menu.end());
    } else {
      const std::vector<const Column*> fitting = FittingColumns(columns);
      lines.push_back({HeaderText(fitting), Style::kHeader});
      page_ = std::max<size_t>(rows > lines.size() + 1 ? rows - lines.size() - 1 : 0, 1);
      const size_t selected = SelectedIndex();
      first_ = std::clamp(first_, selected >= page_ ? selected - page_ + 1 : 0, selected);
      for (size_t i = first_; i < std::min(first_ + page_, shown_.size()); ++i) {
        const Style style = i == selected          ? Style::kSelected
                            : shown_[i]->row.stale ? Style::kStale
                                                   : Style::kPlain;
        lines.push_back({ProcessText(*shown_[i], fitting), style});
      }
    }
  }
  lines.resize(std::max<size_t>(rows, 1) - 1);  // the last line is always the bottom one
  lines.push_back({BottomLine(), Style::kPrompt});
  for (TopLine& line : lines) line.text = std::string(CutCharacters(line.text, columns));
  return lines;
}

std::string TopModel::Text(size_t columns) const {
  std::string text;
  auto add = [&](const std::string& line) {
    text += (columns == 0 ? line : std::string(CutCharacters(line, columns))) + "\n";
  };
  add(Title());
  for (const TopNode& node : table_.nodes) add(NodeLine(node, columns));
  const std::vector<const Column*> fitting = FittingColumns(columns);
  add(HeaderText(fitting));
  for (const TopProcess* process : shown_) add(ProcessText(*process, fitting));
  return text;
}

}  // namespace clustix::procview
