// GPT-2 over a tape: what src/model/gpt2.cc computes, without a cache.
#include "model/gpt2.h"

#include "train/network.h"

namespace plimsoll::train {

namespace {

class Gpt2Network : public Network {
 public:
  Gpt2Network(const ModelConfig& config, Gpt2Weights weights)
      : Network(config), w_(std::move(weights)) {}

  StepInputs prepare(const TrainingBatch& batch) const override { return {&batch, {}}; }

  Value embed(Tape& tape, const StepInputs& inputs) const override {
    const auto& positions = inputs.batch->positions;
    const std::vector<std::int32_t> rows(positions.begin(), positions.end());
    return tape.add(tape.embedding(w_.wte, inputs.batch->ids), tape.embedding(w_.wpe, rows));
  }

  Value layer(Tape& tape, const StepInputs& inputs, std::int64_t index, Value x) const override {
    const ModelConfig& c = config();
    const Gpt2Layer& l = w_.layers[static_cast<std::size_t>(index)];
    const std::int64_t d = c.hidden_size;
    const Value n = tape.layer_norm(x, l.ln_1_weight, l.ln_1_bias, c.norm_epsilon);
    const Value qkv = tape.linear(n, l.c_attn);
    const Value mixed = tape.attention(
        tape.columns(qkv, 0, d), tape.columns(qkv, d, d), tape.columns(qkv, 2 * d, d),
        inputs.batch->bounds, {c.heads, gpt2_score_scale(c, index), std::nullopt}, c.head_dim);
    x = tape.add(x, tape.linear(mixed, l.c_proj));
    const Value m = tape.layer_norm(x, l.ln_2_weight, l.ln_2_bias, c.norm_epsilon);
    const Value inner = tape.linear(m, l.mlp_c_fc);
    return tape.add(
        x, tape.linear(tape.gelu(inner, c.activation == Activation::gelu_tanh), l.mlp_c_proj));
  }

  Value final_norm(Tape& tape, const Value& x) const override {
    return tape.layer_norm(x, w_.ln_f_weight, w_.ln_f_bias, config().norm_epsilon);
  }

  const ops::Linear& head() const override { return w_.head; }

  std::int64_t kept_per_row() const override {
    const ModelConfig& c = config();
    return 11 * c.hidden_size + 2 * c.intermediate_size;
  }

  void visit_linears(const VisitLinear& visit) override {
    for (std::size_t i = 0; i < w_.layers.size(); ++i) {
      Gpt2Layer& l = w_.layers[i];
      for (ops::Linear* linear : {&l.c_attn, &l.c_proj, &l.mlp_c_fc, &l.mlp_c_proj})
        visit(*linear, static_cast<std::int64_t>(i));
    }
    visit(w_.head, config().layers);
  }

  void visit_others(const std::function<void(const NamedTensor&)>& visit) override {
    visit({"transformer.wte.weight", &w_.wte.codes, &w_.wte, -1});
    visit({"transformer.wpe.weight", &w_.wpe.codes, &w_.wpe, -1});
    for (std::size_t i = 0; i < w_.layers.size(); ++i) {
      const std::string at = fmt::format("transformer.h.{}.", i);
      Gpt2Layer& l = w_.layers[i];
      const auto index = static_cast<std::int64_t>(i);
      visit({at + "ln_1.weight", &l.ln_1_weight, nullptr, index});
      visit({at + "ln_1.bias", &l.ln_1_bias, nullptr, index});
      visit({at + "ln_2.weight", &l.ln_2_weight, nullptr, index});
      visit({at + "ln_2.bias", &l.ln_2_bias, nullptr, index});
    }
    visit({"transformer.ln_f.weight", &w_.ln_f_weight, nullptr, config().layers});
    visit({"transformer.ln_f.bias", &w_.ln_f_bias, nullptr, config().layers});
  }

 private:
  Gpt2Weights w_;
};

}  // namespace

std::unique_ptr<Network> make_gpt2_network(const Model& model) {
  const auto* source = dynamic_cast<const HasGpt2Weights*>(&model);
  PLIMSOLL_CHECK(source != nullptr);
  return std::make_unique<Gpt2Network>(model.config(), source->gpt2_weights());
}

}  // namespace plimsoll::train
