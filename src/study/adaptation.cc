#include "study/adaptation.h"

#include <algorithm>

#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "study/load_weights.h"
#include "text/chat_template.h"

namespace plimsoll::study {

namespace {

std::string sample(const Model& model, const ops::Context& context, const Tokenizer& tokenizer,
                   std::span<const std::int32_t> prompt) {
  GenerateOptions options;
  options.max_new_tokens = 48;
  options.sampling.repetition_penalty = 1.1;
  return tokenizer.decode(generate(model, context, prompt, options).ids);
}

}  // namespace

Adaptation adapt(const AdaptationOptions& options) {
  const ModelConfig config = load_config(options.model);
  const auto tokenizer = load_tokenizer(options.model, config);
  const auto model =
      load_weights(options.model, options.weights, config.max_positions, options.progress, false);
  if (options.on_loaded) options.on_loaded(*model);

  const bool is_template = ChatTemplate::load(options.model).has_value();
  EncodeOptions encode;
  encode.parse_special = is_template;
  if (is_template) encode.add_bos = false;  // the template has written it
  const auto prompt = tokenizer->encode(options.sample_prompt, encode);

  train::Material material;
  material.stream = tokenizer->encode(options.text);
  train::DataOptions data;
  data.batch = options.batch;
  data.sequence = std::min(options.sequence, config.max_positions);
  const train::Dataset dataset(std::move(material), data);
  train::FinetuneOptions finetune;
  finetune.adapter.base = options.model;
  finetune.steps = options.steps;
  finetune.warmup = std::min<std::int64_t>(10, options.steps / 2);
  finetune.progress = options.progress;

  Adaptation result;
  result.weights = format_of(*model);
  result.sample_before = sample(*model, options.context, *tokenizer, prompt);
  train::FinetuneResult trained = train::finetune(*model, dataset, finetune);
  attach_adapter(*model, options.model, {"the study's", trained.adapter, trained.layers}, 1);
  result.sample_after = sample(*model, options.context, *tokenizer, prompt);
  result.before = trained.before.value();
  result.after = trained.after.value();
  result.metrics = std::move(trained.metrics);
  result.seconds = trained.seconds;
  return result;
}

std::string as_text(const Adaptation& a) {
  return fmt::format(
      "\nAdapted to the text ({} + LoRA, {:.0f} s): perplexity of its held-out end {:.2f} before, "
      "{:.2f} after\n  before: {}\n  after:  {}\n",
      quant::format_name(a.weights), a.seconds, a.before.ppl, a.after.ppl, a.sample_before,
      a.sample_after);
}

nlohmann::ordered_json as_json(const Adaptation& a) {
  return {{"weights", quant::format_name(a.weights)},
          {"ppl_before", a.before.ppl},
          {"ppl_after", a.after.ppl},
          {"sample_before", a.sample_before},
          {"sample_after", a.sample_after},
          {"seconds", a.seconds},
          {"metrics", a.metrics}};
}

}  // namespace plimsoll::study
