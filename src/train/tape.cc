#include "train/tape.h"

namespace plimsoll::train {

namespace {

Tensor zeros_like(const Tensor& tensor) {
  return ops::zeros_beside(tensor, tensor.shape());
}

std::uint64_t hash_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

std::uint64_t seed_of(const Dropout& dropout, const std::string& name) {
  return dropout.key ^ hash_of(name);
}

/// The layer's adapters alone, as a layer.
ops::Linear without_adapters(const ops::Linear& layer) {
  ops::Linear base = layer;
  base.adapters.clear();
  return base;
}

Tensor product(const Tensor& x, const quant::Matrix& matrix) {
  return ops::linear({}, x, {"adapter", matrix, {}});
}

void low_rank_backward(const Parameters& parameters, const ops::LowRank& adapter, const Tensor& x,
                       const Tensor& dy, Tensor* dx) {
  Tensor da = parameters.gradient_of(adapter.a.codes), db = parameters.gradient_of(adapter.b.codes);
  if (db.defined()) ops::linear_weight_backward(dy, product(x, adapter.a), db, adapter.scale);
  if (!da.defined() && dx == nullptr) return;
  Tensor du = ops::zeros_beside(dy, {dy.dim(0), adapter.a.rows});
  ops::linear_input_backward(adapter.b, dy, du, adapter.scale);
  if (da.defined()) ops::linear_weight_backward(du, x, da);
  if (dx != nullptr) ops::linear_input_backward(adapter.a, du, *dx);
}

}  // namespace

void linear_backward(const Parameters& parameters, const ops::Linear& layer, const Tensor& x,
                     const Tensor& dy, Tensor* dx, Dropout dropout) {
  const bool drops = dropout.share > 0 && !layer.adapters.empty();
  if (!drops) {
    for (const ops::LowRank& adapter : layer.adapters)
      low_rank_backward(parameters, adapter, x, dy, dx);
  } else {
    const std::uint64_t seed = seed_of(dropout, layer.name);
    const Tensor seen = ops::dropout(x, dropout.share, seed);
    Tensor dseen = zeros_like(x);
    for (const ops::LowRank& adapter : layer.adapters)
      low_rank_backward(parameters, adapter, seen, dy, dx != nullptr ? &dseen : nullptr);
    if (dx != nullptr) ops::dropout_backward(dseen, dropout.share, seed, *dx);
  }
  Tensor dw = parameters.gradient_of(layer.weight.codes);
  if (dw.defined()) ops::linear_weight_backward(dy, x, dw);
  if (layer.bias.defined()) {
    Tensor db = parameters.gradient_of(layer.bias);
    if (db.defined()) ops::linear_bias_backward(dy, db);
  }
  if (dx != nullptr) ops::linear_input_backward(layer, dy, *dx);
}

Tensor& Node::gradient_to_add_to() {
  if (!gradient.defined()) gradient = zeros_like(value);
  return gradient;
}

bool Tape::trained(const ops::Linear& layer) const {
  if (trained(layer.weight.codes) || trained(layer.bias)) return true;
  for (const ops::LowRank& adapter : layer.adapters)
    if (trained(adapter.a.codes) || trained(adapter.b.codes)) return true;
  return false;
}

Value Tape::result(Tensor value, bool wanted) {
  return std::make_shared<Node>(Node{std::move(value), {}, wanted && parameters_ != nullptr});
}

Value Tape::leaf(Tensor value, bool wanted) {
  return result(std::move(value), wanted);
}

Value Tape::embedding(const quant::Matrix& table, std::span<const std::int32_t> ids) {
  Value y = result(ops::embedding(table, ids), trained(table.codes));
  if (y->wanted) {
    note([y, dtable = parameters_->gradient_of(table.codes),
          all = std::vector<std::int32_t>(ids.begin(), ids.end())]() mutable {
      ops::embedding_backward(all, y->gradient, dtable);
    });
  }
  return y;
}

Value Tape::linear(const Value& x, const ops::Linear& layer) {
  Value y;
  const bool wanted = x->wanted || trained(layer);
  if (dropout_.share > 0 && !layer.adapters.empty()) {
    Tensor sum = ops::linear({}, x->value, without_adapters(layer));
    const Tensor seen = ops::dropout(x->value, dropout_.share, seed_of(dropout_, layer.name));
    for (const ops::LowRank& adapter : layer.adapters)
      ops::add_scaled(sum, product(product(seen, adapter.a), adapter.b), adapter.scale);
    y = result(std::move(sum), wanted);
  } else {
    y = result(ops::linear({}, x->value, layer), wanted);
  }
  if (y->wanted) {
    note([this, x, y, &layer] {
      linear_backward(*parameters_, layer, x->value, y->gradient,
                      x->wanted ? &x->gradient_to_add_to() : nullptr, dropout_);
    });
  }
  return y;
}

Value Tape::rms_norm(const Value& x, const Tensor& weight, float epsilon) {
  Value y = result(ops::rms_norm(x->value, weight, epsilon), x->wanted || trained(weight));
  if (y->wanted) {
    note([this, x, y, weight, epsilon] {
      ops::rms_norm_backward(x->value, weight, epsilon, y->gradient, x->gradient_to_add_to(),
                             parameters_->gradient_of(weight));
    });
  }
  return y;
}

Value Tape::layer_norm(const Value& x, const Tensor& weight, const Tensor& bias, float epsilon) {
  Value y = result(ops::layer_norm(x->value, weight, bias, epsilon),
                   x->wanted || trained(weight) || trained(bias));
  if (y->wanted) {
    note([this, x, y, weight, bias, epsilon] {
      ops::layer_norm_backward(x->value, weight, epsilon, y->gradient, x->gradient_to_add_to(),
                               parameters_->gradient_of(weight), parameters_->gradient_of(bias));
    });
  }
  return y;
}

Value Tape::rope(const Value& x, std::int64_t head_dim, const ops::RopeTable& table) {
  Value y = result(x->value, x->wanted);
  ops::rope(y->value, head_dim, table);
  if (y->wanted) {
    note([x, y, head_dim, table] {
      ops::rope_backward(y->gradient, head_dim, table);
      x->gradient = y->gradient;
    });
  }
  return y;
}

Value Tape::attention(const Value& q, const Value& k, const Value& v,
                      const ops::SequenceBounds& bounds, const ops::AttentionSettings& settings,
                      std::int64_t head_dim) {
  ops::TrainingAttention done{q->value, k->value, v->value, bounds, settings, head_dim, {}, {}};
  ops::training_attention(done);
  Value y = result(done.out, q->wanted || k->wanted || v->wanted);
  if (y->wanted) {
    note([q, k, v, y, done] {
      ops::training_attention_backward(done, y->gradient, q->gradient_to_add_to(),
                                       k->gradient_to_add_to(), v->gradient_to_add_to());
    });
  }
  return y;
}

Value Tape::add(const Value& x, const Value& y) {
  Value sum = result(y->value, x->wanted || y->wanted);
  ops::add(sum->value, x->value);
  if (sum->wanted) {
    note([x, y, sum] {
      if (x->gradient.defined()) {
        ops::add(x->gradient, sum->gradient);
      } else if (x->wanted) {
        x->gradient = ops::copy_of(sum->gradient);
      }
      y->gradient = sum->gradient;
    });
  }
  return sum;
}

Value Tape::swiglu(const Value& gate, const Value& up) {
  Value y = result(ops::copy_of(gate->value), gate->wanted || up->wanted);
  ops::swiglu(y->value, up->value);
  if (y->wanted) {
    note([gate, up, y] {
      ops::swiglu_backward(gate->value, up->value, y->gradient, gate->gradient_to_add_to(),
                           up->gradient_to_add_to());
    });
  }
  return y;
}

Value Tape::gelu(const Value& x, bool tanh_form) {
  Value y = result(ops::copy_of(x->value), x->wanted);
  ops::gelu(y->value, tanh_form);
  if (y->wanted) {
    note([x, y, tanh_form] {
      ops::gelu_backward(x->value, y->gradient, tanh_form, x->gradient_to_add_to());
    });
  }
  return y;
}

Value Tape::columns(const Value& x, std::int64_t begin, std::int64_t width) {
  Value y = result(ops::columns(x->value, begin, width), x->wanted);
  if (y->wanted)
    note([x, y, begin] { ops::columns_backward(y->gradient, begin, x->gradient_to_add_to()); });
  return y;
}

void Tape::backward() {
  while (!steps_.empty()) {
    steps_.back()();
    steps_.pop_back();  // and with it the values that nothing else needs
  }
}

}  // namespace plimsoll::train
