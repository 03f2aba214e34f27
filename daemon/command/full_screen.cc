// SPDX-License-Identifier: Apache-2.0
#include "daemon/command/full_screen.h"

#define NCURSES_NOMACROS  // or move() and erase() would mean something else in C++'s headers
#include <curses.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace clustix::command {
namespace {

using procview::TopLine;

volatile sig_atomic_t end_signal = 0;

// Those that would end the program: it ends itself, after the terminal is restored.
constexpr std::array<int, 4> kEndSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

attr_t AttributesOf(TopLine::Style style) {
  switch (style) {
    case TopLine::Style::kTitle:
    case TopLine::Style::kPrompt:
      return A_BOLD;
    case TopLine::Style::kHeader:
    case TopLine::Style::kSelected:
      return A_REVERSE;
    case TopLine::Style::kStale:
      return A_DIM;
    case TopLine::Style::kPlain:
      break;
  }
  return A_NORMAL;
}

// All that wake a wait for keys; outside of it they stay pending, so that none is missed by a wait
// that begins just after one was looked for.
sigset_t WakingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : kEndSignals) sigaddset(&signals, signal);
  sigaddset(&signals, SIGWINCH);
  return signals;
}

void CatchSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { end_signal = signal; };
  for (int signal : kEndSignals) sigaction(signal, &action, nullptr);
  const sigset_t waking = WakingSignals();
  sigprocmask(SIG_BLOCK, &waking, nullptr);
}

// Until a key can be read, a signal comes or the time has passed.
void WaitForInput(std::chrono::milliseconds longest) {
  sigset_t open;
  sigprocmask(SIG_BLOCK, nullptr, &open);
  for (int signal : kEndSignals) sigdelset(&open, signal);
  sigdelset(&open, SIGWINCH);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  const timespec time = {static_cast<time_t>(seconds.count()),
                         static_cast<long>(std::chrono::nanoseconds(longest - seconds).count())};
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  if (ppoll(&input, 1, &time, &open) > 0 && (input.revents & (POLLHUP | POLLERR)) != 0) {
    end_signal = SIGHUP;  // the terminal is gone
  }
}

int Translate(int key) {
  using namespace procview;
  switch (key) {
    case KEY_UP:
      return kKeyUp;
    case KEY_DOWN:
      return kKeyDown;
    case KEY_PPAGE:
      return kKeyPageUp;
    case KEY_NPAGE:
      return kKeyPageDown;
    case KEY_HOME:
      return kKeyHome;
    case KEY_END:
      return kKeyEnd;
    case KEY_ENTER:
    case '\n':
    case '\r':
      return kKeyEnter;
    case 27:
      return kKeyEscape;
    case KEY_BACKSPACE:
    case 0x7f:
    case '\b':
      return kKeyBackspace;
    case KEY_F(1):
      return kKeyF1;
    case KEY_F(3):
      return kKeyF3;
    case KEY_F(4):
      return kKeyF4;
    case KEY_F(9):
      return kKeyF9;
    case KEY_F(10):
      return kKeyF10;
    default:
      return key;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<FullScreen>> FullScreen::Open() {
  if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
    return absl::FailedPreconditionError("top needs a terminal (-b prints without one)");
  }
  setlocale(LC_ALL, "");
  // initscr() would end the program.
  SCREEN* screen = newterm(nullptr, stdout, stdin);
  if (screen == nullptr || tigetstr("cup") == nullptr) {
    if (screen != nullptr) {
      endwin();
      delscreen(screen);
    }
    return absl::FailedPreconditionError(
        "this terminal cannot be drawn on: check TERM (-b prints without drawing)");
  }
  CatchSignals();
  cbreak();
  noecho();
  keypad(stdscr, TRUE);
  set_escdelay(25);  // ms; what follows Escape in the sequence of a key comes at once
  curs_set(0);
  return std::unique_ptr<FullScreen>(new FullScreen(screen));
}

FullScreen::~FullScreen() {
  endwin();
  delscreen(screen_);
  const sigset_t waking = WakingSignals();
  sigprocmask(SIG_UNBLOCK, &waking, nullptr);
}

size_t FullScreen::rows() const { return static_cast<size_t>(std::max(getmaxy(stdscr), 1)); }
size_t FullScreen::columns() const { return static_cast<size_t>(std::max(getmaxx(stdscr), 1)); }
int FullScreen::EndSignal() { return end_signal; }

void FullScreen::Draw(const std::vector<TopLine>& text) {
  erase();
  for (size_t row = 0; row < text.size(); ++row) {
    attrset(static_cast<int>(AttributesOf(text[row].style)));
    move(static_cast<int>(row), 0);
    // The line before may have run over into this one: characters count as one column each.
    clrtoeol();
    addnstr(text[row].text.c_str(), -1);
    const bool whole_line =
        text[row].style == TopLine::Style::kHeader || text[row].style == TopLine::Style::kSelected;
    if (whole_line) mvchgat(static_cast<int>(row), 0, -1, A_REVERSE, 0, nullptr);
  }
  attrset(A_NORMAL);
  refresh();
}

std::optional<int> FullScreen::ReadKey(std::chrono::milliseconds longest) {
  timeout(0);
  int key = getch();  // curses may hold some that it has read already
  if (key == ERR) {
    WaitForInput(std::max(longest, std::chrono::milliseconds(0)));
    if (end_signal != 0) return std::nullopt;
    key = getch();
  }
  if (key == ERR || key == KEY_RESIZE) return std::nullopt;
  return Translate(key);
}

}  // namespace clustix::command
