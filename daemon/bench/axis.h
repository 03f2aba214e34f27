// SPDX-License-Identifier: Apache-2.0
//
// From figures to places along an axis, with the marks that a reader needs. Pure; any thread.
#ifndef CLUSTIX_DAEMON_BENCH_AXIS_H_
#define CLUSTIX_DAEMON_BENCH_AXIS_H_

#include <string>
#include <vector>

namespace clustix::bench {

struct Tick {
  double value = 0;
  std::string label;
};

class Axis {
 public:
  // Equal ratios are equal distances. Spans `values` (those that are positive and finite) up to the
  // next 1, 2 or 5 times a power of ten.
  static Axis Logarithmic(std::string title, const std::vector<double>& values);
  // The same, with marks at these values alone and room beside the outer ones.
  static Axis LogarithmicAt(std::string title, std::vector<Tick> ticks);
  // Shares from 0 to 0.999, each nine as long as the one before: the tail of a distribution is what
  // matters, and on a linear axis its last percent cannot be seen.
  static Axis Nines(std::string title);

  // 0 at the axis' beginning, 1 at its end; outside of that for what lies beyond. Finite for every
  // value that Shows().
  double Place(double value) const;
  // False for what has no place at all: 0 on a logarithmic axis, or no number.
  bool Shows(double value) const;

  const std::string& title() const { return title_; }
  const std::vector<Tick>& ticks() const { return ticks_; }

 private:
  Axis(std::string title, bool nines) : title_(std::move(title)), nines_(nines) {}
  double Transform(double value) const;

  std::string title_;
  bool nines_;
  double begin_ = 0;  // transformed
  double end_ = 1;
  std::vector<Tick> ticks_;
};

// "0.1", "50", "2k", "10M": as on an axis, for 1, 2 or 5 times a power of ten.
std::string TickLabel(double value);

}  // namespace clustix::bench

#endif  // CLUSTIX_DAEMON_BENCH_AXIS_H_
