// Which text calibration runs, and what of it.
#include <algorithm>

#include "compress/calibration.h"
#include "core/rng.h"
#include "storage/sha256.h"
#include "text/sample_text.h"

namespace plimsoll::compress {

namespace {

constexpr std::size_t kPassage = 32;  // tokens: far beyond a phrase that two texts share by chance

/// FNV-1a of the passage that begins at each id.
std::vector<std::uint64_t> passages(std::span<const std::int32_t> ids) {
  std::vector<std::uint64_t> hashes;
  for (std::size_t at = 0; at + kPassage <= ids.size(); ++at) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const std::int32_t id : ids.subspan(at, kPassage)) {
      hash = (hash ^ static_cast<std::uint32_t>(id)) * 0x100000001b3ULL;
    }
    hashes.push_back(hash);
  }
  return hashes;
}

}  // namespace

CalibrationText calibration_text(const Tokenizer& tokenizer, std::string_view text,
                                 std::string name) {
  return {tokenizer.encode(text), std::move(name), sha256_hex(text)};
}

CalibrationText built_in_calibration_text(const Tokenizer& tokenizer) {
  return calibration_text(tokenizer, calibration_sample(),
                          "the first chapters of the sea story built in");
}

void refuse_shared_passage(const CalibrationText& calibration,
                           std::span<const std::int32_t> evaluated) {
  std::vector<std::uint64_t> known = passages(calibration.ids);
  std::sort(known.begin(), known.end());
  const std::vector<std::uint64_t> judged = passages(evaluated);
  const auto shared = std::count_if(judged.begin(), judged.end(), [&](std::uint64_t passage) {
    return std::binary_search(known.begin(), known.end(), passage);
  });
  if (shared == 0) return;
  throw InputError(
      calibration.name, "calibration text",
      fmt::format("{} passages of {} tokens that are in the evaluated text too", shared, kPassage),
      "another text: what weights were chosen by must not judge them");
}

void refuse_calibration_text(const std::optional<CalibrationRecord>& record,
                             const CalibrationText* calibration, const Tokenizer& tokenizer,
                             std::string_view text, std::span<const std::int32_t> ids) {
  if (!record) return;
  if (record->sha256 == sha256_hex(text)) {
    throw InputError(record->text, "calibration text", "the evaluated text itself",
                     "another text: what weights were chosen by must not judge them");
  }
  if (calibration != nullptr) return refuse_shared_passage(*calibration, ids);
  // One of the texts that it may have been is at hand.
  const CalibrationText built_in = built_in_calibration_text(tokenizer);
  if (record->sha256 == built_in.sha256) refuse_shared_passage(built_in, ids);
}

CalibrationRecord record_of(const CalibrationOptions& options) {
  return {options.text.name, options.text.sha256, options.windows, options.window_tokens,
          options.seed};
}

std::vector<std::span<const std::int32_t>> calibration_windows(const CalibrationOptions& options) {
  PLIMSOLL_CHECK(options.windows > 0 && options.window_tokens > 0, "{} windows of {} tokens",
                 options.windows, options.window_tokens);
  const auto tokens = static_cast<std::int64_t>(options.text.ids.size());
  if (tokens < options.window_tokens) {
    throw InputError(options.text.name, "calibration text", fmt::format("{} tokens", tokens),
                     fmt::format("at least {}", options.window_tokens));
  }
  Rng rng(options.seed);
  std::vector<std::span<const std::int32_t>> windows;
  for (std::int64_t i = 0; i < options.windows; ++i) {
    const std::uint64_t begin =
        rng.below(static_cast<std::uint64_t>(tokens - options.window_tokens + 1));
    windows.push_back(std::span(options.text.ids)
                          .subspan(begin, static_cast<std::size_t>(options.window_tokens)));
  }
  return windows;
}

}  // namespace plimsoll::compress
