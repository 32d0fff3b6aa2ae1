#include "quant/observer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "core/error.h"

namespace plimsoll::quant {

namespace {

constexpr std::array kKinds = {ObserverKind::minmax, ObserverKind::percentile, ObserverKind::mse};
constexpr double kSteps = 255;

}  // namespace

std::string_view observer_name(ObserverKind kind) {
  switch (kind) {
    case ObserverKind::minmax:
      return "minmax";
    case ObserverKind::percentile:
      return "percentile";
    case ObserverKind::mse:
      return "mse";
  }
  PLIMSOLL_CHECK(false, "unknown observer");
}

ObserverKind observer_from_name(std::string_view name, std::string_view where) {
  for (const ObserverKind kind : kKinds) {
    if (name == observer_name(kind)) return kind;
  }
  throw InputError(where, "observer", name, "minmax, percentile, mse");
}

InputGrid input_grid(double low, double high) {
  low = std::min(low, 0.0);
  high = std::max(high, 0.0);
  const auto scale = static_cast<float>((high - low) / kSteps);
  // Nothing but zeros, or a range too small for a float to step through.
  if (!std::isnormal(scale)) return {};
  const double zero = std::nearbyint(-128.0 - low / static_cast<double>(scale));
  return {scale, static_cast<std::int32_t>(std::clamp(zero, -128.0, 127.0))};
}

InputObserver::InputObserver(ObserverKind kind, double percentile)
    : kind_(kind), percentile_(percentile) {
  PLIMSOLL_CHECK(percentile > 0 && percentile <= 100, "percentile {}", percentile);
  if (kind != ObserverKind::minmax) histogram_.assign(kBins, 0);
}

void InputObserver::add(std::span<const float> values) {
  for (const float value : values) {
    if (!std::isfinite(value)) {
      throw InputError("calibration", "input of a layer", std::to_string(value),
                       "finite activations");
    }
    lowest_ = std::min(lowest_, static_cast<double>(value));
    highest_ = std::max(highest_, static_cast<double>(value));
  }
  count_ += static_cast<std::int64_t>(values.size());
  if (histogram_.empty()) return;
  widen(std::max(-lowest_, highest_));
  const double bins_per_unit = static_cast<double>(kHalfBins) / radius_;
  for (const float value : values) {
    const double position = std::floor(value * bins_per_unit);  // exact: radius_ is a power of two
    ++histogram_[static_cast<std::size_t>(static_cast<std::int64_t>(position) + kHalfBins)];
  }
}

// Doubling the radius maps the bins 2k and 2k + 1, counted from the middle, to bin k.
void InputObserver::widen(double magnitude) {
  while (magnitude >= radius_) {
    std::vector<std::int64_t> merged(static_cast<std::size_t>(kBins), 0);
    for (std::int64_t bin = 0; bin < kBins; ++bin) {
      merged[static_cast<std::size_t>(kBins / 4 + bin / 2)] +=
          histogram_[static_cast<std::size_t>(bin)];
    }
    histogram_ = std::move(merged);
    radius_ *= 2;
  }
}

double InputObserver::bin_centre(std::int64_t bin) const {
  return (static_cast<double>(bin - kHalfBins) + 0.5) * radius_ / static_cast<double>(kHalfBins);
}

// The value below which `share` of the values lie, linear within a bin.
double InputObserver::quantile(double share) const {
  const double wanted = share * static_cast<double>(count_);
  const double width = radius_ / static_cast<double>(kHalfBins);
  double below = 0;
  for (std::int64_t bin = 0; bin < kBins; ++bin) {
    const auto inside = static_cast<double>(histogram_[static_cast<std::size_t>(bin)]);
    if (inside > 0 && below + inside >= wanted) {
      const double start = bin_centre(bin) - width / 2;
      return std::clamp(start + (wanted - below) / inside * width, lowest_, highest_);
    }
    below += inside;
  }
  return highest_;
}

double InputObserver::squared_error(const InputGrid& grid) const {
  const double scale = grid.scale;
  double error = 0;
  for (std::int64_t bin = 0; bin < kBins; ++bin) {
    const std::int64_t inside = histogram_[static_cast<std::size_t>(bin)];
    if (inside == 0) continue;
    const double value = bin_centre(bin);
    const double code = std::clamp(std::nearbyint(value / scale) + grid.zero, -128.0, 127.0);
    const double difference = value - (code - grid.zero) * scale;
    error += static_cast<double>(inside) * difference * difference;
  }
  return error;
}

InputGrid InputObserver::least_squares_grid() const {
  constexpr int kCandidates = 100;
  InputGrid best = input_grid(lowest_, highest_);
  double least = squared_error(best);
  for (int i = kCandidates - 1; i > 0; --i) {
    const double share = static_cast<double>(i) / kCandidates;
    const InputGrid candidate = input_grid(lowest_ * share, highest_ * share);
    const double error = squared_error(candidate);
    if (error < least) {
      least = error;
      best = candidate;
    }
  }
  return best;
}

InputGrid InputObserver::grid() const {
  PLIMSOLL_CHECK(count_ > 0, "the observer saw nothing");
  switch (kind_) {
    case ObserverKind::minmax:
      return input_grid(lowest_, highest_);
    case ObserverKind::percentile: {
      const double cut = (100 - percentile_) / 200;
      return input_grid(quantile(cut), quantile(1 - cut));
    }
    case ObserverKind::mse:
      return least_squares_grid();
  }
  PLIMSOLL_CHECK(false, "unknown observer");
}

}  // namespace plimsoll::quant
