// A device to train on that lies in the host's memory, for machines without a GPU: its tensors are
// not the host's to those who look, what it computes is what the CPU computes, to the bit.
#pragma once

#include <map>
#include <memory>
#include <utility>

#include "ops/adamw.h"
#include "ops/training_device.h"
#include "support/fake_device.h"

namespace plimsoll::test {

class FakeTraining : public ops::TrainingDevice {
 public:
  explicit FakeTraining(DeviceMemory& memory) : memory_(memory) {}

  /// Weights as Device::pack() was given them.
  std::map<const ops::DeviceLinear*, ops::Linear> packed;

  Tensor empty(Shape shape) override {
    Tensor poisoned = Tensor::empty(DType::f32, std::move(shape));
    std::memset(poisoned.raw(), 0xff, poisoned.bytes());
    return there(poisoned);
  }
  Tensor upload(const Tensor& host) override { return there(host.clone()); }
  void clear(Tensor& x) override { std::memset(x.raw(), 0, x.bytes()); }

  Tensor embedding(const quant::Matrix& table, std::span<const std::int32_t> ids) override {
    return there(ops::embedding(here(table), ids));
  }
  void embedding_backward(std::span<const std::int32_t> ids, const Tensor& dy,
                          Tensor& dtable) override {
    Tensor to = here(dtable);
    ops::embedding_backward(ids, here(dy), to);
  }
  Tensor norm(const Tensor& x, const Tensor& weight, const Tensor* bias, float epsilon) override {
    return there(bias == nullptr ? ops::rms_norm(here(x), here(weight), epsilon)
                                 : ops::layer_norm(here(x), here(weight), here(*bias), epsilon));
  }
  void rms_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                         Tensor& dx, Tensor& dweight) override {
    Tensor to = here(dx);
    ops::rms_norm_backward(here(x), here(weight), epsilon, here(dy), to, here(dweight));
  }
  void layer_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                           Tensor& dx, Tensor& dweight, Tensor& dbias) override {
    Tensor to = here(dx);
    ops::layer_norm_backward(here(x), here(weight), epsilon, here(dy), to, here(dweight),
                             here(dbias));
  }
  void rope(Tensor& x, std::int64_t head_dim, const ops::RopeTable& table) override {
    Tensor to = here(x);
    ops::rope(to, head_dim, {here(table.cosine), here(table.sine)});
  }
  void rope_backward(Tensor& dx, std::int64_t head_dim, const ops::RopeTable& table) override {
    Tensor to = here(dx);
    ops::rope_backward(to, head_dim, {here(table.cosine), here(table.sine)});
  }
  void add_scaled(Tensor& x, const Tensor& y, float scale) override {
    Tensor to = here(x);
    ops::add_scaled(to, here(y), scale);
  }
  void swiglu(Tensor& gate, const Tensor& up) override {
    Tensor to = here(gate);
    ops::swiglu(to, here(up));
  }
  void swiglu_backward(const Tensor& gate, const Tensor& up, const Tensor& dy, Tensor& dgate,
                       Tensor& dup) override {
    Tensor to_gate = here(dgate), to_up = here(dup);
    ops::swiglu_backward(here(gate), here(up), here(dy), to_gate, to_up);
  }
  void gelu(Tensor& x, bool tanh_form) override {
    Tensor to = here(x);
    ops::gelu(to, tanh_form);
  }
  void gelu_backward(const Tensor& x, const Tensor& dy, bool tanh_form, Tensor& dx) override {
    Tensor to = here(dx);
    ops::gelu_backward(here(x), here(dy), tanh_form, to);
  }
  Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t width) override {
    return there(ops::columns(here(x), begin, width));
  }
  void columns_backward(const Tensor& dy, std::int64_t begin, Tensor& dx) override {
    Tensor to = here(dx);
    ops::columns_backward(here(dy), begin, to);
  }
  Tensor dropout(const Tensor& x, double share, std::uint64_t seed) override {
    return there(ops::dropout(here(x), share, seed));
  }
  void dropout_backward(const Tensor& dy, double share, std::uint64_t seed, Tensor& dx) override {
    Tensor to = here(dx);
    ops::dropout_backward(here(dy), share, seed, to);
  }

  Tensor linear(const Tensor& x, const ops::Linear& layer) override {
    ops::Linear all{layer.name, here(layer.weight), here(layer.bias)};
    if (layer.device != nullptr) all = packed.at(layer.device.get());
    for (const ops::LowRank& adapter : layer.adapters)
      all.adapters.push_back({here(adapter.a), here(adapter.b), adapter.scale});
    return there(ops::linear({}, here(x), all));
  }
  void linear_input_backward(const quant::Matrix& weight, const ops::DeviceLinear* device,
                             const Tensor& dy, Tensor& dx, float scale) override {
    Tensor to = here(dx);
    ops::linear_input_backward(device != nullptr ? packed.at(device).weight : here(weight),
                               here(dy), to, scale);
  }
  void linear_weight_backward(const Tensor& dy, const Tensor& x, Tensor& dw, float scale) override {
    Tensor to = here(dw);
    ops::linear_weight_backward(here(dy), here(x), to, scale);
  }
  void linear_bias_backward(const Tensor& dy, Tensor& db) override {
    Tensor to = here(db);
    ops::linear_bias_backward(here(dy), to);
  }

  void attention(ops::TrainingAttention& a) override {
    ops::TrainingAttention on_host = here(a);
    ops::training_attention(on_host);
    a.out = there(on_host.out);
    a.log_sum = there(on_host.log_sum);
  }
  void attention_backward(const ops::TrainingAttention& a, const Tensor& dout, Tensor& dq,
                          Tensor& dk, Tensor& dv) override {
    Tensor to_q = here(dq), to_k = here(dk), to_v = here(dv);
    ops::training_attention_backward(here(a), here(dout), to_q, to_k, to_v);
  }
  void cross_entropy(Tensor& logits, std::span<const std::int32_t> targets, float weight,
                     Tensor& total) override {
    Tensor to = here(logits), sum = here(total);
    ops::cross_entropy(to, targets, weight, sum);
  }
  void adamw(Tensor& values, const Tensor& gradients, Tensor& mean, Tensor& square,
             const kernels::AdamWArgs& settings) override {
    Tensor to = here(values), to_mean = here(mean), to_square = here(square);
    ops::adamw(to, here(gradients), to_mean, to_square, settings);
  }
  double sum_of_squares(const Tensor& x) override { return ops::sum_of_squares(here(x)); }

 private:
  static Tensor here(const Tensor& tensor) {
    if (!tensor.defined()) return {};
    PLIMSOLL_CHECK(tensor.device() != nullptr, "a tensor of the host's");
    return Tensor::view(tensor.raw(), tensor.dtype(), tensor.shape(),
                        std::make_shared<Tensor>(tensor));
  }
  static quant::Matrix here(const quant::Matrix& matrix) {
    quant::Matrix on_host = matrix;
    on_host.codes = here(matrix.codes);
    return on_host;
  }
  static ops::TrainingAttention here(const ops::TrainingAttention& a) {
    ops::TrainingAttention on_host = a;
    for (Tensor* tensor : {&on_host.q, &on_host.k, &on_host.v, &on_host.out, &on_host.log_sum})
      *tensor = here(*tensor);
    return on_host;
  }
  Tensor there(const Tensor& host) {
    const auto owner = std::make_shared<Tensor>(host);
    return Tensor::on_device(memory_, owner->raw(), host.dtype(), host.shape(), owner);
  }

  DeviceMemory& memory_;
};

class FakeTrainingDevice : public FakeDevice {
 public:
  std::int64_t free = std::int64_t{1} << 40;

  void pack(std::span<ops::Linear* const> layers, ops::Joined joined) override {
    FakeDevice::pack(layers, joined);
    PLIMSOLL_CHECK(layers.size() == 1);
    training_.packed.emplace(layers[0]->device.get(), *layers[0]);
  }
  void twin(const ops::DeviceLinear& like, std::span<ops::Linear* const> layers) override {
    FakeDevice::twin(like, layers);
    training_.packed.emplace(layers[0]->device.get(), *layers[0]);
  }
  std::int64_t free_bytes() const override { return free; }
  ops::TrainingDevice& training() override { return training_; }

 private:
  FakeTraining training_{*this};
};

}  // namespace plimsoll::test
