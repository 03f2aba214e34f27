// SPDX-License-Identifier: Apache-2.0
#include "daemon/bench/axis.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace clustix::bench {
namespace {

// Beyond this share the axis of nines has no place that differs.
constexpr double kShareMax = 0.999999;
// Decades with marks at 1, 2 and 5; on a longer axis they would be too close.
constexpr double kFineDecadesMax = 2.5;

// 1, 2 or 5 times a power of ten, in order: NiceValue(0) is 1, (1) is 2, (3) is 10, (-1) is 0.5.
double NiceValue(int index) {
  int step = (index % 3 + 3) % 3;
  double power = std::pow(10, (index - step) / 3);
  return step == 0 ? power : step == 1 ? 2 * power : 5 * power;
}

// The largest index whose value is at most `value`, as far as rounding lets one tell.
int NiceIndexBelow(double value) {
  int index = static_cast<int>(std::floor(std::log10(value))) * 3 + 3;
  while (NiceValue(index) > value * (1 + 1e-9)) --index;
  return index;
}

}  // namespace

std::string TickLabel(double value) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return absl::StrCat(absl::StrFormat("%.12g", value), kUnits[unit]);
}

Axis Axis::Logarithmic(std::string title, const std::vector<double>& values) {
  Axis axis(std::move(title), /*nines=*/false);
  double least = 0, most = 0;
  for (double value : values) {
    if (!axis.Shows(value)) continue;
    least = least == 0 ? value : std::min(least, value);
    most = std::max(most, value);
  }
  if (least == 0) least = most = 1;
  int first = NiceIndexBelow(least);
  int last = NiceIndexBelow(most);
  if (NiceValue(last) < most * (1 - 1e-9)) ++last;
  if (first == last) {
    --first;
    ++last;
  }
  axis.begin_ = axis.Transform(NiceValue(first));
  axis.end_ = axis.Transform(NiceValue(last));
  bool fine = axis.end_ - axis.begin_ <= kFineDecadesMax;
  for (int index = first; index <= last; ++index) {
    double value = NiceValue(index);
    if (fine || index % 3 == 0) axis.ticks_.push_back({value, TickLabel(value)});
  }
  return axis;
}

Axis Axis::LogarithmicAt(std::string title, std::vector<Tick> ticks) {
  Axis axis(std::move(title), /*nines=*/false);
  for (Tick& tick : ticks) {
    if (axis.Shows(tick.value)) axis.ticks_.push_back(std::move(tick));
  }
  if (axis.ticks_.empty()) return axis;
  auto [least, most] =
      std::minmax_element(axis.ticks_.begin(), axis.ticks_.end(),
                          [](const Tick& a, const Tick& b) { return a.value < b.value; });
  axis.begin_ = axis.Transform(least->value);
  axis.end_ = axis.Transform(most->value);
  double room = axis.end_ > axis.begin_ ? (axis.end_ - axis.begin_) * 0.06 : 0.5;
  axis.begin_ -= room;
  axis.end_ += room;
  return axis;
}

Axis Axis::Nines(std::string title) {
  Axis axis(std::move(title), /*nines=*/true);
  axis.begin_ = axis.Transform(0);
  axis.end_ = axis.Transform(0.999);
  axis.ticks_ = {{0, "0%"},    {0.5, "50%"},  {0.75, "75%"},
                 {0.9, "90%"}, {0.99, "99%"}, {0.999, "99.9%"}};
  return axis;
}

bool Axis::Shows(double value) const {
  return std::isfinite(value) && (nines_ ? value >= 0 : value > 0);
}

double Axis::Transform(double value) const {
  return nines_ ? -std::log10(1 - std::min(value, kShareMax)) : std::log10(value);
}

double Axis::Place(double value) const { return (Transform(value) - begin_) / (end_ - begin_); }

}  // namespace clustix::bench
