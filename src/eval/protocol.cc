#include "eval/protocol.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace plimsoll {

namespace {

constexpr std::array<std::string_view, 3> kNames{"blocks", "hf-strided", "llama.cpp"};

[[noreturn]] void too_short(std::int64_t tokens, std::int64_t least, std::string_view why) {
  throw InputError("the text", "length", fmt::format("{} tokens", tokens),
                   fmt::format("at least {} ({})", least, why));
}

std::vector<Window> blocks(std::int64_t window, std::int64_t tokens) {
  if (tokens < window) too_short(tokens, window, "one window; --window makes it smaller");
  std::vector<Window> windows;
  for (std::int64_t begin = 0; begin + window <= tokens; begin += window) {
    windows.push_back({begin, begin + window, begin + 1, 1, false});
  }
  return windows;
}

std::vector<Window> hf_strided(std::int64_t window, std::int64_t stride, std::int64_t tokens) {
  if (tokens < 2) too_short(tokens, 2, "one to predict the other");
  std::vector<Window> windows;
  std::int64_t previous_end = 0;
  for (std::int64_t begin = 0; begin < tokens; begin += stride) {
    const std::int64_t end = std::min(begin + window, tokens);
    // Labels of the first window include its first token, which nothing predicts: the loop counts
    // it among the valid ones and takes one off for every window.
    const std::int64_t labels = end - previous_end;
    const std::int64_t first_scored = std::max(end - labels, begin + 1);
    const std::int64_t scored = end - first_scored;
    if (scored > 0) {
      windows.push_back({begin, end, first_scored,
                         static_cast<double>(labels - 1) / static_cast<double>(scored), false});
    }
    previous_end = end;
    if (end == tokens) break;
  }
  return windows;
}

std::vector<Window> llama_cpp(std::int64_t window, std::int64_t tokens, bool model_adds_bos) {
  if (tokens < 2 * window)
    too_short(tokens, 2 * window, "two windows; --window makes them smaller");
  std::vector<Window> windows;
  for (std::int64_t begin = 0; begin + window <= tokens; begin += window) {
    windows.push_back({begin, begin + window, begin + window / 2 + 1, 1, model_adds_bos});
  }
  return windows;
}

}  // namespace

std::string_view protocol_name(Protocol protocol) {
  return kNames[static_cast<std::size_t>(protocol)];
}

Protocol protocol_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Protocol>(i);
  }
  throw InputError("--protocol", "name", fmt::format("\"{}\"", name),
                   fmt::format("one of {}", fmt::join(kNames, ", ")));
}

ProtocolOptions completed(const ProtocolOptions& options, std::int64_t max_positions) {
  ProtocolOptions result = options;
  if (result.window == 0) {
    const std::int64_t usual = options.protocol == Protocol::hf_strided ? 1024 : 512;
    result.window = std::min(usual, max_positions);
  }
  if (result.window < 2) {
    throw InputError("--window", "tokens", fmt::format("{}", options.window), "at least 2");
  }
  if (options.protocol != Protocol::hf_strided) {
    if (options.stride != 0) {
      throw InputError(
          "--stride", "tokens", fmt::format("{}", options.stride),
          fmt::format("none: --protocol {} has disjoint windows", protocol_name(options.protocol)));
    }
    result.stride = result.window;
    return result;
  }
  if (result.stride == 0) result.stride = result.window / 2;
  if (result.stride < 1 || result.stride >= result.window) {
    throw InputError("--stride", "tokens", fmt::format("{}", options.stride),
                     fmt::format("1 to {}, less than the window", result.window - 1));
  }
  return result;
}

std::vector<Window> windows_of(const ProtocolOptions& options, std::int64_t tokens,
                               bool model_adds_bos) {
  switch (options.protocol) {
    case Protocol::blocks:
      return blocks(options.window, tokens);
    case Protocol::hf_strided:
      return hf_strided(options.window, options.stride, tokens);
    case Protocol::llama_cpp:
      return llama_cpp(options.window, tokens, model_adds_bos);
  }
  PLIMSOLL_CHECK(false);
}

}  // namespace plimsoll
