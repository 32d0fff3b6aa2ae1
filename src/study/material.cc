#include "study/material.h"

#include <algorithm>

#include "compress/calibration.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "model/load_model.h"
#include "study/load_weights.h"
#include "text/chat_prompt.h"

namespace plimsoll::study {

namespace {

/// Windows that quick mode judges.
constexpr std::int64_t kQuickWindows = 4;

/// What the user asks, in the form that the model was trained on where it has one.
SamplePrompt asked(const std::string& model, const Tokenizer& tokenizer,
                   const std::string& request) {
  auto chat = ChatTemplate::load(model);
  if (!chat) return {request, tokenizer.encode(request)};
  const ChatPrompt prompt(*std::move(chat), template_variables(model), tokenizer);
  const std::vector<ChatMessage> messages{{"user", request}};
  return {prompt.text(messages), prompt.ids(messages)};
}

SamplePrompt continued(const Tokenizer& tokenizer, const std::string& beginning) {
  return {beginning, tokenizer.encode(beginning)};
}

/// Ids spread over the vocabulary: random weights do not care.
Material made_up(const StudyOptions& options, const ModelConfig& config) {
  Material material;
  material.prefill.resize(static_cast<std::size_t>(options.prefill_tokens));
  for (std::size_t i = 0; i < material.prefill.size(); ++i) {
    material.prefill[i] =
        static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(config.vocab_size));
  }
  material.decode_prompt.assign({0, 1, 2, 3, 4});
  return material;
}

void read_text(Material& material, const StudyOptions& options, const ModelConfig& config) {
  std::vector<std::int32_t>& text = material.judged;
  text = material.tokenizer->encode(options.text);
  const auto stored = stored_quantization(config.quantization, options.model);
  compress::refuse_calibration_text(stored.calibration, nullptr, *material.tokenizer, options.text,
                                    text);
  const bool is_calibrated = stored.method == StoredQuantization::Method::none &&
                             std::ranges::any_of(options.variants, [](const Variant& variant) {
                               return compress::needs_calibration(variant.weights);
                             });
  if (is_calibrated) {
    const auto calibration = built_in_calibration(config, *material.tokenizer);
    compress::refuse_shared_passage(calibration.text, text);
    material.calibration = compress::record_of(calibration);
  } else {
    material.calibration = stored.calibration;
  }
  const auto room = std::min(options.prefill_tokens, config.max_positions - 1);
  if (static_cast<std::int64_t>(text.size()) < room) {
    throw InputError("--text", "length",
                     options.text.empty() ? "nothing" : fmt::format("{} tokens", text.size()),
                     fmt::format("at least {} tokens", room));
  }
  material.prefill.assign(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(room));
  material.scoring.protocol = completed({Protocol::blocks, 0, 0}, config.max_positions);
  material.scoring.model_adds_bos = material.tokenizer->adds_bos();
  material.scoring.bos_id = material.tokenizer->bos_id();
  check_scorable(config, text, material.scoring);
  const auto judged = static_cast<std::size_t>(kQuickWindows * material.scoring.protocol.window);
  if (options.mode == Mode::quick && text.size() > judged) text.resize(judged);
}

}  // namespace

Material prepare(const StudyOptions& options, const ModelConfig& config) {
  Material material;
  if (is_shape(options.model)) {
    material = made_up(options, config);
  } else {
    material.tokenizer = load_tokenizer(options.model, config);
    const Tokenizer& tokenizer = *material.tokenizer;
    read_text(material, options, config);
    material.decode_prompt = tokenizer.encode(material.decode_prompt_text);
    material.sample_prompts.push_back(
        asked(options.model, tokenizer, "Tell me a story about a captain and a storm."));
    if (options.mode != Mode::quick) {
      material.sample_prompts.push_back(continued(tokenizer, "The captain looked at the sea, and"));
      material.sample_prompts.push_back(continued(tokenizer, material.decode_prompt_text));
    }
    check_context(config,
                  static_cast<std::int64_t>(material.decode_prompt.size()) + options.new_tokens,
                  /*allow_long=*/true, "-n");
  }
  return material;
}

}  // namespace plimsoll::study
