// What training changes: values, their gradients and AdamW's statistics, all fp32.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace plimsoll::train {

struct Parameter {
  std::string name;  // as the checkpoint or PEFT names the tensor
  Tensor value;      // shares its storage with the network that it belongs to
  Tensor gradient;   // same shape, summed up over a step
  Tensor mean;       // AdamW's running means of the gradient and of its square
  Tensor square;
};

class Parameters {
 public:
  /// Gradient and statistics begin at zero. A storage that is there already (a tied head) is not
  /// taken twice.
  void add(const std::string& name, const Tensor& value);

  std::vector<Parameter>& all() { return parameters_; }
  const std::vector<Parameter>& all() const { return parameters_; }
  bool empty() const { return parameters_.empty(); }
  std::int64_t count() const;  // numbers in all values

  bool contains(const Tensor& value) const { return by_storage_.contains(value.raw()); }
  /// The gradient of `value`; undefined when it is not trained.
  Tensor gradient_of(const Tensor& value) const;
  void clear_gradients();
  /// Euclidean norm of all gradients together.
  double gradient_norm() const;

 private:
  std::vector<Parameter> parameters_;
  std::map<const std::byte*, std::size_t> by_storage_;
};

}  // namespace plimsoll::train
