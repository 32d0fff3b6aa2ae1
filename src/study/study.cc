#include "study/study.h"

#include <algorithm>
#include <numeric>

#include "compress/calibration.h"
#include "core/memory.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "model/inventory.h"
#include "study/load_weights.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace plimsoll::study {

namespace {

/// Texts as the model's ids, ready to be run.
struct Material {
  std::unique_ptr<Tokenizer> tokenizer;  // none for shape: models
  std::vector<std::int32_t> text, prefill, decode_prompt, sample_prompt;
  std::string decode_prompt_text = "Explain quantum computing:";
  std::string sample_prompt_text;
};

/// A story's beginning in the form that the model was trained on.
std::string sample_prompt(const std::string& model, bool& is_template) {
  const std::string request = "Tell me a story about a captain and a storm.";
  const auto chat = ChatTemplate::load(model);
  is_template = chat.has_value();
  if (!chat) return "The captain looked at the sea, and";
  nlohmann::ordered_json variables = template_variables(model);
  variables["messages"] = nlohmann::ordered_json::array({{{"role", "user"}, {"content", request}}});
  variables["add_generation_prompt"] = true;
  return chat->render(variables);
}

Material prepare(const StudyOptions& options, const ModelConfig& config) {
  Material material;
  if (is_shape(options.model)) {
    material.prefill.assign(static_cast<std::size_t>(options.prefill_tokens), 0);
    for (std::size_t i = 0; i < material.prefill.size(); ++i) {
      material.prefill[i] =
          static_cast<std::int32_t>(i * 7919 % static_cast<std::size_t>(config.vocab_size));
    }
    material.decode_prompt.assign(material.prefill.begin(), material.prefill.begin() + 5);
    return material;
  }
  material.tokenizer = load_tokenizer(options.model, config);
  material.text = material.tokenizer->encode(options.text);
  if (std::any_of(options.variants.begin(), options.variants.end(), [](const Variant& variant) {
        return compress::needs_calibration(variant.weights);
      })) {
    compress::refuse_shared_passage(compress::built_in_calibration_text(*material.tokenizer),
                                    material.text);
  }
  const std::size_t room =
      static_cast<std::size_t>(std::min(options.prefill_tokens, config.max_positions - 1));
  if (material.text.size() < room) {
    throw InputError("--text", "length", fmt::format("{} tokens", material.text.size()),
                     fmt::format("at least {}", room));
  }
  material.prefill.assign(material.text.begin(),
                          material.text.begin() + static_cast<std::ptrdiff_t>(room));
  material.decode_prompt = material.tokenizer->encode(material.decode_prompt_text);
  bool is_template = false;
  material.sample_prompt_text = sample_prompt(options.model, is_template);
  EncodeOptions encode;
  encode.parse_special = is_template;
  if (is_template) encode.add_bos = false;  // the template has written it
  material.sample_prompt = material.tokenizer->encode(material.sample_prompt_text, encode);
  return material;
}

std::string sample(const Model& model, const ops::Context& context, const Material& material) {
  GenerateOptions options;
  options.max_new_tokens = 48;
  options.sampling.repetition_penalty = 1.1;
  return material.tokenizer->decode(generate(model, context, material.sample_prompt, options).ids);
}

Perplexity quality(const Model& model, const ops::Context& context, const Material& material,
                   const Progress& progress) {
  ScoreOptions options;
  options.protocol = completed({Protocol::blocks, 0, 0}, model.config().max_positions);
  options.model_adds_bos = material.tokenizer->adds_bos();
  options.progress = progress;
  return perplexity(model, context, material.text, options);
}

std::unique_ptr<Model> load_variant(const StudyOptions& options, const Variant& variant) {
  return load_weights(options.model, variant.weights,
                      options.prefill_tokens + options.new_tokens + 1, options.progress);
}

std::unique_ptr<Model> load(const StudyOptions& options, const Variant& variant) {
  auto model = load_variant(options, variant);
  if (options.on_loaded) options.on_loaded(*model);
  return model;
}

ops::Context context_of(const StudyOptions& options, const Variant& variant) {
  ops::Context context = options.context;
  context.attention = variant.attention;
  return context;
}

NumericsCost numerics_cost(const StudyOptions& options, const Variant& variant, const Model& model,
                           const Material& material) {
  NumericsCost cost{variant.name(), {}, {}};
  ops::Context context = context_of(options, variant);
  for (int repeat = 0; repeat <= options.repeats; ++repeat) {
    report(options.progress, "timing numerics", repeat, options.repeats);
    LatencySamples warm_up;
    for (const auto numerics : {ops::Numerics::fast, ops::Numerics::invariant}) {
      context.numerics = numerics;
      LatencySamples& samples = numerics == ops::Numerics::fast ? cost.fast : cost.invariant;
      measure_latency(model, context, material.prefill, material.decode_prompt, options.new_tokens,
                      repeat == 0 ? warm_up : samples);
    }
  }
  return cost;
}

/// Whether all variants may be in memory together, so that their timings can take turns.
bool fit_together(const StudyOptions& options, const ModelConfig& config) {
  std::uint64_t total = 0;
  for (const Variant& variant : options.variants) {
    total += static_cast<std::uint64_t>(total_bytes(config, variant.weights));
  }
  return total < available_memory() / 2;
}

}  // namespace

StudyResult run_study(const StudyOptions& options) {
  const ModelConfig config = load_config(options.model);
  const Material material = prepare(options, config);
  StudyResult result{options.model,
                     options.context,
                     material.sample_prompt_text,
                     material.decode_prompt_text,
                     {},
                     {},
                     {}};
  for (const Variant& variant : options.variants) {
    VariantResult& entry = result.variants.emplace_back();
    entry.variant = variant;
  }

  // Rounds over whatever is loaded: one at a time, or all in turns so that drift hurts them alike.
  const auto measure = [&](std::span<const std::unique_ptr<Model>> models, std::size_t first) {
    for (int repeat = 0; repeat <= options.repeats; ++repeat) {
      for (std::size_t i = 0; i < models.size(); ++i) {
        VariantResult& entry = result.variants[first + i];
        report(options.progress, "timing " + entry.variant.name(), repeat, options.repeats);
        const ops::Context context = context_of(options, entry.variant);
        LatencySamples warm_up;
        measure_latency(*models[i], context, material.prefill, material.decode_prompt,
                        options.new_tokens, repeat == 0 ? warm_up : entry.latency);
      }
    }
    for (std::size_t i = 0; i < models.size(); ++i) {
      VariantResult& entry = result.variants[first + i];
      const ops::Context context = context_of(options, entry.variant);
      entry.weight_bytes = models[i]->weight_bytes();
      entry.kv_bytes =
          models[i]->kv_shape(context.kv).bytes_per_token() *
          (static_cast<std::int64_t>(material.decode_prompt.size()) + options.new_tokens);
      // Eager attention cannot promise it.
      if (!result.numerics_cost && entry.variant.attention != ops::Attention::eager) {
        result.numerics_cost = numerics_cost(options, entry.variant, *models[i], material);
      }
      if (!material.tokenizer) continue;
      const Progress named = [&](const std::string&, std::int64_t done, std::int64_t total) {
        return !options.progress ||
               options.progress("judging " + entry.variant.name(), done, total);
      };
      entry.quality = quality(*models[i], context, material, named);
      entry.sample = sample(*models[i], context, material);
    }
  };
  if (fit_together(options, config)) {
    std::vector<std::unique_ptr<Model>> models;
    for (const Variant& variant : options.variants) models.push_back(load(options, variant));
    measure(models, 0);
  } else {
    for (std::size_t i = 0; i < options.variants.size(); ++i) {
      const std::unique_ptr<Model> model = load(options, options.variants[i]);
      measure(std::span(&model, 1), i);
    }
  }
  result.recommendation = recommend(result.variants, options.max_ppl_ratio);
  return result;
}

}  // namespace plimsoll::study
