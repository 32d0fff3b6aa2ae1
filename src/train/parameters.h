// What training changes: values, their gradients and AdamW's statistics, all fp32.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ops/device.h"

namespace plimsoll::train {

struct Parameter {
  std::string name;  // as the checkpoint or PEFT names the tensor
  Tensor value;      // shares its storage with the network that it belongs to
  Tensor gradient;   // same shape, summed up over a step
  Tensor mean;       // AdamW's running means of the gradient and of its square
  Tensor square;
  Tensor host;  // while all of these lie on a GPU: the value's place in the host's memory
};

/// What every parameter's step of AdamW shares.
struct UpdateOptions {
  std::int64_t step = 1;  // from 1
  double rate = 1e-3;
  double weight_decay = 0;    // of matrices; vectors never decay
  double gradient_scale = 1;  // multiplied to the gradients first (clipping)
};

class Parameters {
 public:
  /// Gradient and statistics begin at zero. A storage that is there already (a tied head) is not
  /// taken twice.
  void add(const std::string& name, const Tensor& value);
  /// All of it to a GPU, in one piece each. Who holds a value's handle takes value_of() it instead.
  /// InputError where there is not enough memory.
  void move_to(ops::Device& device);
  /// The values back into the host's memory that they came from; nothing can be trained after it.
  void move_back();

  std::vector<Parameter>& all() { return parameters_; }
  const std::vector<Parameter>& all() const { return parameters_; }
  bool empty() const { return parameters_.empty(); }
  std::int64_t count() const;  // numbers in all values

  bool contains(const Tensor& value) const { return by_storage_.contains(value.raw()); }
  /// The value itself, by the handle that it was added with.
  Tensor value_of(const Tensor& value) const;
  /// The gradient of `value`; undefined when it is not trained.
  Tensor gradient_of(const Tensor& value) const;
  void clear_gradients();
  /// Euclidean norm of all gradients together.
  double gradient_norm() const;
  /// A step of AdamW of all.
  void update(const UpdateOptions& options);

 private:
  /// On a GPU: of all parameters, one behind the other, with zeros in between where one's size is
  /// no multiple of what kernels want.
  struct Pieces {
    Tensor values, gradients, means, squares;
  };

  std::vector<Parameter> parameters_;
  std::map<const std::byte*, std::size_t> by_storage_;  // in the host's memory and a GPU's
  Pieces there_;
};

}  // namespace plimsoll::train
