// What a template may use. A chat template comes with a checkpoint that anyone may have uploaded.
#pragma once

#include <chrono>
#include <cstdint>

namespace plimsoll {

/// Bounds of one rendering. Passing any of them is an InputError that names the bound.
struct RenderLimits {
  /// Expressions and statements evaluated, plus one for every 64 bytes that an operation reads.
  std::uint64_t steps = 10'000'000;
  /// Bytes of the rendered text, and of any one text made on the way.
  std::uint64_t output_bytes = 16ULL << 20;
  /// Bytes of all texts, lists and dicts made on the way: nothing is freed before the end.
  std::uint64_t value_bytes = 256ULL << 20;
  /// Macros calling one another, and lists within lists.
  int depth = 200;
  /// Wall-clock time.
  std::chrono::milliseconds time{2000};
};

}  // namespace plimsoll
