// Formats that look at activations: which text is run, and what is learnt from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/progress.h"
#include "model/load_model.h"
#include "quant/gptq.h"
#include "quant/observer.h"
#include "text/tokenizer.h"

namespace plimsoll::compress {

/// gptq and int8_static.
bool needs_calibration(quant::WeightFormat format);

/// What windows are drawn from.
struct CalibrationText {
  std::vector<std::int32_t> ids;
  std::string name;    // what the user knows it as
  std::string sha256;  // of the text
};

CalibrationText calibration_text(const Tokenizer& tokenizer, std::string_view text,
                                 std::string name);
/// The first chapters of the story built into the program.
CalibrationText built_in_calibration_text(const Tokenizer& tokenizer);

/// InputError when a passage of 32 tokens or more is in both texts: weights must not be judged by
/// what they were chosen by.
void refuse_shared_passage(const CalibrationText& calibration,
                           std::span<const std::int32_t> evaluated);

/// Refuses to judge weights by the text that they were chosen by, as far as that can be known.
/// `record`: what was kept of it, if any was used; `calibration`: the text itself, where it is at
/// hand (nullptr: the checkpoint was calibrated before). InputError naming the text.
void refuse_calibration_text(const std::optional<CalibrationRecord>& record,
                             const CalibrationText* calibration, const Tokenizer& tokenizer,
                             std::string_view text, std::span<const std::int32_t> ids);

struct CalibrationOptions {
  CalibrationText text;
  std::int64_t windows = 128;        // 1 or more
  std::int64_t window_tokens = 512;  // 1 or more
  std::uint64_t seed = 0;
  quant::GptqOptions gptq;
  quant::ObserverKind observer = quant::ObserverKind::minmax;
};

/// What a checkpoint keeps of it.
CalibrationRecord record_of(const CalibrationOptions& options);

/// The windows, drawn at random offsets. InputError when the text is shorter than one.
std::vector<std::span<const std::int32_t>> calibration_windows(const CalibrationOptions& options);

/// load_model for every format. Those that need calibration load the model as stored, run the
/// windows through it and replace matrix by matrix; in several passes where the statistics of all
/// layers would not fit in memory, later passes then seeing the earlier layers quantised.
/// `calibration` may be null for the other formats.
std::unique_ptr<Model> load_model_in(const std::string& name, const LoadOptions& options,
                                     const CalibrationOptions* calibration);

}  // namespace plimsoll::compress
