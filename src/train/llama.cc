// Llama, Mistral and Qwen2 over a tape: what src/model/llama.cc computes, without a cache.
#include <cmath>

#include "model/llama.h"
#include "train/network.h"

namespace plimsoll::train {

namespace {

class LlamaNetwork : public Network {
 public:
  LlamaNetwork(const ModelConfig& config, LlamaWeights weights)
      : Network(config), w_(std::move(weights)) {}

  StepInputs prepare(const TrainingBatch& batch) const override {
    return {&batch, ops::rope_table(batch.positions, w_.frequencies, device())};
  }

  Value embed(Tape& tape, const StepInputs& inputs) const override {
    return tape.embedding(w_.embedding, inputs.batch->ids);
  }

  Value layer(Tape& tape, const StepInputs& inputs, std::int64_t index, Value x) const override {
    const ModelConfig& c = config();
    const LlamaLayer& l = w_.layers[static_cast<std::size_t>(index)];
    const Value n = tape.rms_norm(x, l.input_norm, c.norm_epsilon);
    const Value q = tape.rope(tape.linear(n, l.q_proj), c.head_dim, inputs.rotation);
    const Value k = tape.rope(tape.linear(n, l.k_proj), c.head_dim, inputs.rotation);
    const Value v = tape.linear(n, l.v_proj);
    const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    const Value mixed = tape.attention(q, k, v, inputs.batch->bounds,
                                       {c.heads, scale, c.window_of_layer(index)}, c.head_dim);
    x = tape.add(x, tape.linear(mixed, l.o_proj));
    const Value m = tape.rms_norm(x, l.post_attention_norm, c.norm_epsilon);
    const Value gate = tape.linear(m, l.gate_proj);
    const Value up = tape.linear(m, l.up_proj);
    return tape.add(x, tape.linear(tape.swiglu(gate, up), l.down_proj));
  }

  Value final_norm(Tape& tape, const Value& x) const override {
    return tape.rms_norm(x, w_.norm, config().norm_epsilon);
  }

  const ops::Linear& head() const override { return w_.head; }

  std::int64_t kept_per_row() const override {
    const ModelConfig& c = config();
    return 4 * c.hidden_size + 2 * (c.heads + c.kv_heads) * c.head_dim + 3 * c.intermediate_size;
  }

  void visit_linears(const VisitLinear& visit) override {
    for (std::size_t i = 0; i < w_.layers.size(); ++i) {
      LlamaLayer& l = w_.layers[i];
      for (ops::Linear* linear :
           {&l.q_proj, &l.k_proj, &l.v_proj, &l.o_proj, &l.gate_proj, &l.up_proj, &l.down_proj})
        visit(*linear, static_cast<std::int64_t>(i));
    }
    visit(w_.head, config().layers);
  }

  void visit_others(const std::function<void(const NamedTensor&)>& visit) override {
    visit({"model.embed_tokens.weight", &w_.embedding.codes, &w_.embedding, -1});
    for (std::size_t i = 0; i < w_.layers.size(); ++i) {
      const std::string at = fmt::format("model.layers.{}.", i);
      const auto index = static_cast<std::int64_t>(i);
      visit({at + "input_layernorm.weight", &w_.layers[i].input_norm, nullptr, index});
      visit({at + "post_attention_layernorm.weight", &w_.layers[i].post_attention_norm, nullptr,
             index});
    }
    visit({"model.norm.weight", &w_.norm, nullptr, config().layers});
  }

 private:
  LlamaWeights w_;
};

}  // namespace

std::unique_ptr<Network> make_llama_network(const Model& model) {
  const auto* source = dynamic_cast<const HasLlamaWeights*>(&model);
  PLIMSOLL_CHECK(source != nullptr);
  return std::make_unique<LlamaNetwork>(model.config(), source->llama_weights());
}

}  // namespace plimsoll::train
