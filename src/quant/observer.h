// int8-static: what calibration learns about a layer's input, and the scale and zero point that
// follow.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace plimsoll::quant {

/// How the range [low, high] that the 256 codes span is chosen from the values seen:
///   minmax      all of it
///   percentile  the central share of the values (99.9 %: half of 0.1 % is cut on each side)
///   mse         minmax shrunk towards zero to the least squared error of the codes
enum class ObserverKind : std::uint8_t { minmax, percentile, mse };

/// InputError listing the known names otherwise.
ObserverKind observer_from_name(std::string_view name, std::string_view where);
std::string_view observer_name(ObserverKind kind);

/// x ~ scale * (q - zero), q in -128..127; zero itself is exact.
struct InputGrid {
  float scale = 1;
  std::int32_t zero = 0;
};

/// The grid that spans [low, high] and 0.
InputGrid input_grid(double low, double high);

/// Streams activation values in bounded memory: a histogram of kBins over +-radius, whose radius
/// doubles by merging pairs of bins. The result depends on the values alone, not on their order.
class InputObserver {
 public:
  explicit InputObserver(ObserverKind kind, double percentile = 99.9);

  /// InputError when a value is not finite.
  void add(std::span<const float> values);

  std::int64_t count() const { return count_; }
  /// InternalError when nothing was added.
  InputGrid grid() const;

 private:
  static constexpr std::int64_t kBins = 1 << 14;
  static constexpr std::int64_t kHalfBins = kBins / 2;

  void widen(double magnitude);
  double bin_centre(std::int64_t bin) const;
  double quantile(double share) const;
  double squared_error(const InputGrid& grid) const;
  InputGrid least_squares_grid() const;

  ObserverKind kind_;
  double percentile_;
  std::int64_t count_ = 0;
  double lowest_ = 0;
  double highest_ = 0;
  double radius_ = 0x1p-100;
  std::vector<std::int64_t> histogram_;  // empty for minmax
};

}  // namespace plimsoll::quant
