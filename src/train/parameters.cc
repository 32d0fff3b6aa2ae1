#include "train/parameters.h"

#include <algorithm>
#include <cmath>

namespace plimsoll::train {

void Parameters::add(const std::string& name, const Tensor& value) {
  PLIMSOLL_CHECK(value.dtype() == DType::f32);
  if (contains(value)) return;
  by_storage_.emplace(value.raw(), parameters_.size());
  const auto zeros = [&] { return Tensor::zeros(DType::f32, value.shape()); };
  parameters_.push_back({name, value, zeros(), zeros(), zeros()});
}

std::int64_t Parameters::count() const {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters_) total += parameter.value.size();
  return total;
}

Tensor Parameters::gradient_of(const Tensor& value) const {
  const auto at = by_storage_.find(value.raw());
  return at == by_storage_.end() ? Tensor() : parameters_[at->second].gradient;
}

void Parameters::clear_gradients() {
  for (Parameter& parameter : parameters_)
    std::ranges::fill(parameter.gradient.span<float>(), 0.0f);
}

double Parameters::gradient_norm() const {
  double squares = 0;
  for (const Parameter& parameter : parameters_) {
    for (const float g : parameter.gradient.span<float>()) squares += static_cast<double>(g) * g;
  }
  return std::sqrt(squares);
}

}  // namespace plimsoll::train
