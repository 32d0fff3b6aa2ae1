// The texts of a study as a model's ids, ready to be run.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval/perplexity.h"
#include "model/stored_quantization.h"
#include "study/study.h"
#include "text/tokenizer.h"

namespace plimsoll::study {

/// A prompt that every variant continues, for the eye.
struct SamplePrompt {
  std::string text;
  std::vector<std::int32_t> ids;
};

struct Material {
  std::unique_ptr<Tokenizer> tokenizer;  // none for shape: models
  std::vector<std::int32_t> judged;      // what quality is judged on; empty for shape: models
  std::vector<std::int32_t> prefill, decode_prompt;
  std::string decode_prompt_text = "Explain quantum computing:";
  std::vector<SamplePrompt> sample_prompts;
  ScoreOptions scoring;
  /// Of the variants that need one, or of the checkpoint as stored.
  std::optional<CalibrationRecord> calibration;
};

/// InputError when the text is too short, when calibration has seen it, or when the model's context
/// is too short for the workloads.
Material prepare(const StudyOptions& options, const ModelConfig& config);

}  // namespace plimsoll::study
