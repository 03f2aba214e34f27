// SPDX-License-Identifier: Apache-2.0
#include "lib/procview/pstree.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "lib/base/status.h"
#include "lib/procview/ps.h"
#include "lib/procview/ps_row.h"

namespace clustix::procview {
namespace {

// How the lines of a tree are drawn.
struct Strokes {
  const char* branch;  // before a child that others follow
  const char* last;    // before the last
  const char* past;    // below a branch
  const char* blank;   // below the last
};
constexpr Strokes kUnicode = {"├─", "└─", "│ ", "  "};
constexpr Strokes kAscii = {"|-", "`-", "| ", "  "};

using Children = std::map<int32_t, std::vector<const PsRow*>>;  // by the parent's local pid

// Of one node. Depth is bounded by the number of processes, so the walk keeps its own stack.
class Tree {
 public:
  Tree(const PstreeOptions& options, const std::vector<PsRow>& rows, std::string& text)
      : options_(options), strokes_(options.ascii ? kAscii : kUnicode), text_(text) {
    std::set<int32_t> present;
    for (const PsRow& row : rows) present.insert(row.stat.pid);
    for (const PsRow& row : rows) {
      const bool top = row.stat.ppid == row.stat.pid || !present.contains(row.stat.ppid);
      children_[top ? 0 : row.stat.ppid].push_back(&row);
    }
  }

  // What hangs on nothing, since parents name each other, stands at the top as well.
  void Render() {
    Walk(0);
    while (!children_.empty()) Walk(children_.begin()->first);
  }

 private:
  struct Line {
    const PsRow* row;
    std::string indent;
    bool last;
  };

  void Walk(int32_t top) {
    PushChildren(top, "");
    while (!stack_.empty()) {
      const Line line = stack_.back();
      stack_.pop_back();
      Add(line.indent + (line.last ? strokes_.last : strokes_.branch) + Label(*line.row));
      PushChildren(line.row->stat.pid, line.indent + (line.last ? strokes_.blank : strokes_.past));
    }
  }

  // The first child comes off the stack first. A pid's children are taken once: parents that name
  // each other, as a snapshot of processes that come and go may have them, end here.
  void PushChildren(int32_t pid, const std::string& indent) {
    auto found = children_.extract(pid);
    if (found.empty()) return;
    const std::vector<const PsRow*>& rows = found.mapped();
    for (size_t i = rows.size(); i-- > 0;)
      stack_.push_back({rows[i], indent, i + 1 == rows.size()});
  }

  std::string Label(const PsRow& row) const {
    std::string label = options_.show_args ? row.args : row.comm;
    if (options_.show_pids) absl::StrAppend(&label, "(", row.gpid, ")");
    return label;
  }

  // A character is what UTF-8 does not continue.
  void Add(const std::string& line) {
    size_t chars = 0, end = 0;
    for (; end < line.size(); ++end) {
      const bool begins = (static_cast<unsigned char>(line[end]) & 0xc0) != 0x80;
      if (begins && options_.max_line_chars > 0 && chars++ == options_.max_line_chars) break;
    }
    absl::StrAppend(&text_, line.substr(0, end), "\n");
  }

  const PstreeOptions& options_;
  const Strokes& strokes_;
  std::string& text_;
  Children children_;
  std::vector<Line> stack_;
};

std::string Title(const proc::NodeView& node) {
  if (node.snapshot == nullptr) return node.name + " (never heard)\n";
  return node.name + (node.stale ? " (does not answer)\n" : "\n");
}

}  // namespace

absl::StatusOr<std::string> RenderPstree(const proc::ClusterSnapshot& cluster,
                                         const PstreeOptions& options) {
  ASSIGN_OR_RETURN(const std::vector<const proc::NodeView*> nodes,
                   ChooseNodes(cluster, options.nodes));
  std::string text;
  for (const proc::NodeView* node : nodes) {
    text += Title(*node);
    const std::vector<PsRow> rows = MakePsRows(cluster, {node->node});
    Tree(options, rows, text).Render();
  }
  return text;
}

}  // namespace clustix::procview
