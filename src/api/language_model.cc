#include <plimsoll/plimsoll.h>

#include "core/threads.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "model/load_model.h"
#include "model/numerics.h"
#include "model/prefill.h"
#include "text/detokenizer.h"

namespace plimsoll::api {

struct LanguageModel::State {
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  ops::Context context;
};

namespace {

/// Bad input leaves the library as its own public exception.
template <class F>
auto translating(F&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const InputError& error) {
    throw Error(error.what());
  }
}

plimsoll::GenerateOptions engine_options(const GenerateOptions& options) {
  plimsoll::GenerateOptions result;
  result.max_new_tokens = options.max_new_tokens;
  result.ignore_eos = options.ignore_eos;
  result.sampling = {options.temperature,        options.top_k, options.top_p, options.min_p,
                     options.repetition_penalty, options.seed};
  return result;
}

}  // namespace

LanguageModel::LanguageModel(std::unique_ptr<State> state) : state_(std::move(state)) {}
LanguageModel::~LanguageModel() = default;
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;

LanguageModel LanguageModel::load(const std::string& path, const LoadOptions& options) {
  return translating([&] {
    set_threads(options.threads);
    plimsoll::LoadOptions load_options;
    if (!options.weights.empty()) {
      load_options.weights.format =
          quant::format_from_name(options.weights, "LoadOptions::weights");
    }
    auto state = std::make_unique<State>();
    state->tokenizer = load_tokenizer(path, load_config(path));
    load_options.weights.pack = true;
    state->model = load_model(path, load_options);
    state->context.compute = options.exact ? ops::Compute::exact : ops::Compute::fast;
    state->context.numerics_auto = true;
    state->context = settled(state->context, *state->model);
    return LanguageModel(std::move(state));
  });
}

std::vector<std::int32_t> LanguageModel::encode(std::string_view text) const {
  return translating([&] { return state_->tokenizer->encode(text); });
}

std::string LanguageModel::decode(std::span<const std::int32_t> ids) const {
  return translating([&] { return state_->tokenizer->decode(ids); });
}

std::string LanguageModel::generate(std::string_view prompt, const GenerateOptions& options,
                                    const OnText& on_text) const {
  return translating([&] {
    const std::vector<std::int32_t> ids = state_->tokenizer->encode(prompt);
    // Decoded as what follows the prompt, so that a space between the two is kept.
    StreamingDetokenizer detokenizer(*state_->tokenizer);
    for (const std::int32_t id : ids) detokenizer.push(id);
    std::string text;
    const auto emit = [&](const std::string& piece) {
      text += piece;
      return piece.empty() || !on_text || on_text(piece);
    };
    plimsoll::generate(*state_->model, state_->context, ids, engine_options(options),
                       [&](std::int32_t id) { return emit(detokenizer.push(id)); });
    emit(detokenizer.finish());
    return text;
  });
}

std::vector<float> LanguageModel::logits(std::span<const std::int32_t> ids) const {
  return translating([&] {
    const Model& model = *state_->model;
    check_ids(model.config(), ids, "ids");
    check_context(model.config(), static_cast<std::int64_t>(ids.size()), false, "ids");
    if (ids.empty()) return std::vector<float>();
    kv::BlockPool pool = pool_for(model, state_->context, static_cast<std::int64_t>(ids.size()));
    kv::Sequence sequence(pool);
    const Tensor logits =
        model.logits(state_->context, hidden_states(model, state_->context, sequence, ids));
    return std::vector<float>(logits.data<float>(), logits.data<float>() + logits.size());
  });
}

std::int64_t LanguageModel::vocab_size() const {
  return state_->model->config().vocab_size;
}
std::int64_t LanguageModel::context_length() const {
  return state_->model->config().max_positions;
}

}  // namespace plimsoll::api
