// GPT-2, top to bottom.
//
//   x = wte[ids] + wpe[positions]
//   for each layer:  x += attn.c_proj(attention(split(attn.c_attn(ln_1(x)))))
//                    x += mlp.c_proj(gelu(mlp.c_fc(ln_2(x))))
//   logits = ln_f(x) wte^T
#include <cmath>
#include <utility>

#include "core/trace.h"
#include "model/gpt2.h"
#include "model/model.h"
#include "ops/layer.h"

namespace plimsoll {

namespace {

class Gpt2 : public Model, public HasGpt2Weights {
 public:
  Gpt2(const ModelConfig& c, WeightLoader& loader)
      : Model(c),
        wte_(loader.table("transformer.wte.weight", c.vocab_size, c.hidden_size)),
        wpe_(loader.table("transformer.wpe.weight", c.max_positions, c.hidden_size)) {
    const std::int64_t d = c.hidden_size;
    for (std::int64_t i = 0; i < c.layers; ++i) {
      const std::string at = fmt::format("transformer.h.{}.", i);
      Gpt2Layer layer;
      layer.ln_1_weight = loader.vector(at + "ln_1.weight", d);
      layer.ln_1_bias = loader.vector(at + "ln_1.bias", d);
      layer.c_attn = loader.linear({at + "attn.c_attn", 3 * d, d, true, true, Part::attention});
      layer.c_proj = loader.linear({at + "attn.c_proj", d, d, true, true, Part::attention});
      layer.ln_2_weight = loader.vector(at + "ln_2.weight", d);
      layer.ln_2_bias = loader.vector(at + "ln_2.bias", d);
      layer.mlp_c_fc =
          loader.linear({at + "mlp.c_fc", c.intermediate_size, d, true, true, Part::mlp});
      layer.mlp_c_proj =
          loader.linear({at + "mlp.c_proj", d, c.intermediate_size, true, true, Part::mlp});
      layers_.push_back(std::move(layer));
    }
    ln_f_weight_ = loader.vector("transformer.ln_f.weight", d);
    ln_f_bias_ = loader.vector("transformer.ln_f.bias", d);
    head_ = c.tie_word_embeddings
                ? ops::Linear{"lm_head", wte_, {}}
                : loader.linear({"lm_head", c.vocab_size, d, false, false, Part::head});
  }

  Tensor forward(const ops::Context& context, const Batch& batch,
                 std::vector<Tensor>* hidden) const override {
    const ModelConfig& c = config();
    const ops::Rows rows = batch.rows_for(context);
    const ops::Heads heads{c.heads, c.heads, c.head_dim};
    Tensor x = ops::embedding(context, rows, wte_, tied_head(), &wpe_);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Gpt2Layer& layer = layers_[i];
      if (hidden != nullptr) hidden->push_back(x.clone());
      {
        const trace::Part part("attention");
        const auto index = static_cast<std::int64_t>(i);
        ops::Qkv qkv = ops::norm_qkv(context, x, norm(layer.ln_1_weight, layer.ln_1_bias),
                                     {&layer.c_attn}, heads);
        const Tensor mixed = ops::attend(context, rows, index, qkv, heads, nullptr,
                                         {c.heads, gpt2_score_scale(c, index), std::nullopt});
        ops::linear_add(context, mixed, layer.c_proj, x);
      }
      {
        const trace::Part part("mlp");
        const Tensor inner = ops::norm_gelu(context, x, norm(layer.ln_2_weight, layer.ln_2_bias),
                                            layer.mlp_c_fc, c.activation == Activation::gelu_tanh);
        ops::linear_add(context, inner, layer.mlp_c_proj, x);
      }
    }
    Tensor normed = ops::norm(context, x, norm(ln_f_weight_, ln_f_bias_));
    if (hidden != nullptr) hidden->push_back(normed.clone());
    return normed;
  }

  Tensor logits(const ops::Context& context, const Tensor& hidden) const override {
    const trace::Part part("head");
    return ops::linear(context, hidden, head_);
  }

  void visit_linears(const std::function<void(ops::Linear&)>& visit) override {
    for (Gpt2Layer& layer : layers_) {
      for (ops::Linear* linear :
           {&layer.c_attn, &layer.c_proj, &layer.mlp_c_fc, &layer.mlp_c_proj}) {
        visit(*linear);
      }
    }
    visit(head_);
  }

  void move_to(ops::Device& device) override {
    ops::Mover move(device);
    move({&head_});
    move(wte_, "the token embeddings", tied_head());
    move(wpe_, "the position embeddings");
    for (Gpt2Layer& layer : layers_) {
      for (ops::Linear* linear :
           {&layer.c_attn, &layer.c_proj, &layer.mlp_c_fc, &layer.mlp_c_proj}) {
        move({linear});
      }
      for (Tensor* vector :
           {&layer.ln_1_weight, &layer.ln_1_bias, &layer.ln_2_weight, &layer.ln_2_bias}) {
        move(*vector, "a norm");
      }
    }
    move(ln_f_weight_, "a norm");
    move(ln_f_bias_, "a norm");
    move.finish();
  }

  Gpt2Weights gpt2_weights() const override {
    return {wte_, wpe_, layers_, ln_f_weight_, ln_f_bias_, head_};
  }

 protected:
  quant::Matrix& token_table() override { return wte_; }

 private:
  ops::Norm norm(const Tensor& weight, const Tensor& bias) const {
    return {weight, &bias, config().norm_epsilon};
  }
  const ops::Linear* tied_head() const { return config().tie_word_embeddings ? &head_ : nullptr; }

  quant::Matrix wte_, wpe_;
  std::vector<Gpt2Layer> layers_;
  Tensor ln_f_weight_, ln_f_bias_;
  ops::Linear head_;
};

}  // namespace

float gpt2_score_scale(const ModelConfig& config, std::int64_t layer) {
  float scale =
      config.scale_attn_weights ? 1.0f / std::sqrt(static_cast<float>(config.head_dim)) : 1.0f;
  if (config.scale_attn_by_inverse_layer_idx) scale /= static_cast<float>(layer + 1);
  return scale;
}

std::unique_ptr<Model> make_gpt2(const ModelConfig& config, WeightLoader& loader) {
  return std::make_unique<Gpt2>(config, loader);
}

}  // namespace plimsoll
