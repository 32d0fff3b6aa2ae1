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
#include "ops/elementwise.h"

namespace plimsoll {

namespace {

class Llama : public Model, public HasLlamaWeights {
 public:
  Llama(const ModelConfig& c, WeightLoader& loader)
      : Model(c),
        frequencies_(rope_frequencies(c)),
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
    Tensor x = ops::embedding(embedding_, batch.ids);
    const ops::RopeTable rotation = ops::rope_table(batch.positions, frequencies_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const LlamaLayer& layer = layers_[i];
      if (hidden != nullptr) hidden->push_back(x.clone());
      {
        const trace::Part part("attention");
        const Tensor n = ops::rms_norm(x, layer.input_norm, c.norm_epsilon);
        Tensor q = ops::linear(context, n, layer.q_proj);
        Tensor k = ops::linear(context, n, layer.k_proj);
        const Tensor v = ops::linear(context, n, layer.v_proj);
        ops::rope(q, c.head_dim, rotation);
        ops::rope(k, c.head_dim, rotation);
        const auto index = static_cast<std::int64_t>(i);
        ops::append_kv(batch.sequences, index, k, v);
        const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
        const Tensor mixed = ops::attention(context, batch.sequences, index, q,
                                            {c.heads, scale, c.window_of_layer(index)});
        ops::add(x, ops::linear(context, mixed, layer.o_proj));
      }
      {
        const trace::Part part("mlp");
        const Tensor m = ops::rms_norm(x, layer.post_attention_norm, c.norm_epsilon);
        Tensor gate = ops::linear(context, m, layer.gate_proj);
        ops::swiglu(gate, ops::linear(context, m, layer.up_proj));
        ops::add(x, ops::linear(context, gate, layer.down_proj));
      }
    }
    Tensor normed = ops::rms_norm(x, norm_, c.norm_epsilon);
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

  LlamaWeights llama_weights() const override {
    return {embedding_, layers_, norm_, head_, frequencies_};
  }

 protected:
  quant::Matrix& token_table() override { return embedding_; }

 private:
  std::vector<float> frequencies_;
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
