#include "train/parameters.h"

#include <algorithm>
#include <cmath>

#include "ops/adamw.h"
#include "ops/training_device.h"

namespace plimsoll::train {

void Parameters::add(const std::string& name, const Tensor& value) {
  PLIMSOLL_CHECK(value.dtype() == DType::f32);
  if (contains(value)) return;
  by_storage_.emplace(value.raw(), parameters_.size());
  const auto zeros = [&] { return Tensor::zeros(DType::f32, value.shape()); };
  parameters_.push_back({name, value, zeros(), zeros(), zeros(), {}});
}

void Parameters::move_to(ops::Device& device) {
  constexpr std::int64_t kGrain = 4;  // floats: kernels want 16 bytes
  const auto padded = [](std::int64_t size) { return (size + kGrain - 1) / kGrain * kGrain; };
  std::int64_t size = 0;
  for (const Parameter& parameter : parameters_) size += padded(parameter.value.size());
  for (Tensor* piece : {&there_.values, &there_.gradients, &there_.means, &there_.squares}) {
    *piece = device.allocate(DType::f32, {size}, "what is trained");
    device.training().clear(*piece);
  }
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    Parameter& p = parameters_[i];
    const auto place = [&](const Tensor& piece) {
      return piece.rows(begin, begin + p.host.size()).reshaped(p.host.shape());
    };
    p.host = p.value;
    p.value = place(there_.values);
    device.upload(p.host.raw(), p.value.raw(), p.host.bytes());
    p.gradient = place(there_.gradients);
    p.mean = place(there_.means);
    p.square = place(there_.squares);
    by_storage_.emplace(p.value.raw(), i);
    begin += padded(p.host.size());
  }
}

void Parameters::move_back() {
  for (Parameter& p : parameters_) {
    if (!p.host.defined()) continue;
    p.value.device()->download(p.value.raw(), p.host.raw(), p.host.bytes());
    p = {p.name, p.host, {}, {}, {}, {}};
  }
  there_ = {};
}

std::int64_t Parameters::count() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters_) total += parameter.value.size();
  return total;
}

Tensor Parameters::value_of(const Tensor& value) const {
  return parameters_[by_storage_.at(value.raw())].value;
}

Tensor Parameters::gradient_of(const Tensor& value) const {
  const auto at = by_storage_.find(value.raw());
  return at == by_storage_.end() ? Tensor() : parameters_[at->second].gradient;
}

void Parameters::clear_gradients() {
  if (ops::TrainingDevice* gpu = ops::training_device(there_.gradients))
    return gpu->clear(there_.gradients);
  for (Parameter& parameter : parameters_)
    std::ranges::fill(parameter.gradient.span<float>(), 0.0f);
}

double Parameters::gradient_norm() const {
  if (there_.gradients.defined()) return std::sqrt(ops::sum_of_squares(there_.gradients));
  double squares = 0;
  for (const Parameter& parameter : parameters_) squares += ops::sum_of_squares(parameter.gradient);
  return std::sqrt(squares);
}

void Parameters::update(const UpdateOptions& options) {
  kernels::AdamWArgs settings;
  settings.step = options.step;
  settings.rate = options.rate;
  settings.gradient_scale = options.gradient_scale;
  const auto is_vector = [](const Parameter& p) { return p.value.shape().size() < 2; };
  const bool alike = options.weight_decay == 0 || std::ranges::none_of(parameters_, is_vector);
  if (there_.values.defined() && alike) {
    settings.weight_decay = options.weight_decay;
    return ops::adamw(there_.values, there_.gradients, there_.means, there_.squares, settings);
  }
  for (Parameter& p : parameters_) {
    settings.weight_decay = is_vector(p) ? 0 : options.weight_decay;
    ops::adamw(p.value, p.gradient, p.mean, p.square, settings);
  }
}

}  // namespace plimsoll::train
