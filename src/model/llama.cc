// Llama and its relatives, top to bottom. Mistral is Llama with a sliding window, Qwen2 is Llama
// with biases on Q, K and V; Llama 3 stretches the rotary frequencies.
//
//   x = embedding[ids]
//   for each layer:  x += o_proj(attention(rope(q_proj(n)), rope(k_proj(n)), v_proj(n))),  n =
//   norm(x)
//                    x += down_proj(silu(gate_proj(m)) * up_proj(m)),                      m =
//                    norm(x)
//   logits = lm_head(norm(x))
#include <cmath>
#include <utility>

#include "core/trace.h"
#include "model/llama.h"
#include "model/model.h"
#include "model/rope_frequencies.h"
#include "ops/layer.h"

namespace plimsoll {

namespace {

class Llama : public Model, public HasLlamaWeights {
 public:
  Llama(const ModelConfig& c, WeightLoader& loader)
      : Model(c),
        frequencies_(Tensor::from<float>(rope_frequencies(c), {c.head_dim / 2})),
        embedding_(loader.table("model.embed_tokens.weight", c.vocab_size, c.hidden_size)) {
    const std::int64_t q_width = c.heads * c.head_dim;
    const std::int64_t kv_width = c.kv_heads * c.head_dim;
    for (std::int64_t i = 0; i < c.layers; ++i) {
      const std::string at = fmt::format("model.layers.{}.", i);
      const auto attention = [&](const char* name, std::int64_t out, std::int64_t in, bool bias) {
        return loader.linear({at + "self_attn." + name, out, in, bias, false, Part::attention});
      };
      const auto mlp = [&](const char* name, std::int64_t out, std::int64_t in) {
        return loader.linear({at + "mlp." + name, out, in, c.mlp_bias, false, Part::mlp});
      };
      LlamaLayer layer;
      layer.input_norm = loader.vector(at + "input_layernorm.weight", c.hidden_size);
      layer.q_proj = attention("q_proj", q_width, c.hidden_size, c.qkv_bias);
      layer.k_proj = attention("k_proj", kv_width, c.hidden_size, c.qkv_bias);
      layer.v_proj = attention("v_proj", kv_width, c.hidden_size, c.qkv_bias);
      layer.o_proj = attention("o_proj", c.hidden_size, q_width, c.output_bias);
      layer.post_attention_norm =
          loader.vector(at + "post_attention_layernorm.weight", c.hidden_size);
      layer.gate_proj = mlp("gate_proj", c.intermediate_size, c.hidden_size);
      layer.up_proj = mlp("up_proj", c.intermediate_size, c.hidden_size);
      layer.down_proj = mlp("down_proj", c.hidden_size, c.intermediate_size);
      layers_.push_back(std::move(layer));
    }
    norm_ = loader.vector("model.norm.weight", c.hidden_size);
    head_ = c.tie_word_embeddings
                ? ops::Linear{"lm_head", embedding_, {}}
                : loader.linear({"lm_head", c.vocab_size, c.hidden_size, false, false, Part::head});
  }

  Tensor forward(const ops::Context& context, const Batch& batch,
                 std::vector<Tensor>* hidden) const override {
    const ModelConfig& c = config();
    const ops::Rows rows = batch.rows_for(context);
    const ops::Rotation rotation = ops::rotation(context, rows, frequencies_);
    const ops::Heads heads{c.heads, c.kv_heads, c.head_dim};
    const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
    Tensor x = ops::embedding(context, rows, embedding_, tied_head());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const LlamaLayer& layer = layers_[i];
      if (hidden != nullptr) hidden->push_back(x.clone());
      {
        const trace::Part part("attention");
        const auto index = static_cast<std::int64_t>(i);
        ops::Qkv qkv = ops::norm_qkv(context, x, norm(layer.input_norm),
                                     {&layer.q_proj, &layer.k_proj, &layer.v_proj}, heads);
        const Tensor mixed = ops::attend(context, rows, index, qkv, heads, &rotation,
                                         {c.heads, scale, c.window_of_layer(index)});
        ops::linear_add(context, mixed, layer.o_proj, x);
      }
      {
        const trace::Part part("mlp");
        const Tensor inner = ops::norm_swiglu(context, x, norm(layer.post_attention_norm),
                                              layer.gate_proj, layer.up_proj);
        ops::linear_add(context, inner, layer.down_proj, x);
      }
    }
    Tensor normed = ops::norm(context, x, norm(norm_));
    if (hidden != nullptr) hidden->push_back(normed.clone());
    return normed;
  }

  Tensor logits(const ops::Context& context, const Tensor& hidden) const override {
    const trace::Part part("head");
    return ops::linear(context, hidden, head_);
  }

  void visit_linears(const std::function<void(ops::Linear&)>& visit) override {
    for (LlamaLayer& layer : layers_) {
      for (ops::Linear* linear : {&layer.q_proj, &layer.k_proj, &layer.v_proj, &layer.o_proj,
                                  &layer.gate_proj, &layer.up_proj, &layer.down_proj}) {
        visit(*linear);
      }
    }
    visit(head_);
  }

  void move_to(ops::Device& device) override {
    ops::Mover move(device);
    move({&head_});
    move(embedding_, "the token embeddings", tied_head());
    for (LlamaLayer& layer : layers_) {
      move({&layer.q_proj, &layer.k_proj, &layer.v_proj});
      move({&layer.o_proj});
      move({&layer.gate_proj, &layer.up_proj}, ops::Joined::halves);
      move({&layer.down_proj});
      move(layer.input_norm, "a norm");
      move(layer.post_attention_norm, "a norm");
    }
    move(norm_, "a norm");
    move(frequencies_, "rotary frequencies");
    move.finish();
  }

  LlamaWeights llama_weights() const override {
    const auto frequencies = frequencies_.span<float>();
    return {embedding_, layers_, norm_, head_, {frequencies.begin(), frequencies.end()}};
  }

 protected:
  quant::Matrix& token_table() override { return embedding_; }

 private:
  ops::Norm norm(const Tensor& weight) const { return {weight, nullptr, config().norm_epsilon}; }
  const ops::Linear* tied_head() const { return config().tie_word_embeddings ? &head_ : nullptr; }

  Tensor frequencies_;  // f32, one a pair of a head's elements
  quant::Matrix embedding_;
  std::vector<LlamaLayer> layers_;
  Tensor norm_;
  ops::Linear head_;
};

}  // namespace

std::unique_ptr<Model> make_llama(const ModelConfig& config, WeightLoader& loader) {
  return std::make_unique<Llama>(config, loader);
}

}  // namespace plimsoll
