// Reverse-mode differentiation: the operations of a forward pass, written down so that they can be
// gone through backwards. Each method computes with ops and notes which ops::*_backward undoes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "ops/backward.h"
#include "train/parameters.h"

namespace plimsoll::train {

/// A value of the forward pass.
struct Node {
  Tensor value;         // f32 [rows, width]
  Tensor gradient;      // defined once something has been added to it
  bool wanted = false;  // whether a parameter lies behind it

  /// Zeros the first time.
  Tensor& gradient_to_add_to();
};
using Value = std::shared_ptr<Node>;

/// Dropout of the adapters' inputs: each element is left out with `share`, the others scaled up.
/// The choice depends on `key`, the layer's name, row and column alone, so that a layer that is
/// computed twice drops the same.
struct Dropout {
  double share = 0;
  std::uint64_t key = 0;
};

class Tape {
 public:
  /// `parameters` null: nothing is noted, values are freed as soon as they can be. The weights that
  /// the methods take must outlive the tape.
  explicit Tape(const Parameters* parameters, Dropout dropout = {})
      : parameters_(parameters), dropout_(dropout) {}

  Value leaf(Tensor value, bool wanted);
  Value embedding(const quant::Matrix& table, std::span<const std::int32_t> ids);
  /// With the layer's adapters.
  Value linear(const Value& x, const ops::Linear& layer);
  Value rms_norm(const Value& x, const Tensor& weight, float epsilon);
  Value layer_norm(const Value& x, const Tensor& weight, const Tensor& bias, float epsilon);
  /// `x` must not be used again.
  Value rope(const Value& x, std::int64_t head_dim, const ops::RopeTable& table);
  Value attention(const Value& q, const Value& k, const Value& v, const ops::SequenceBounds& bounds,
                  const ops::AttentionSettings& settings, std::int64_t head_dim);
  /// x + y; `y` must not be used again.
  Value add(const Value& x, const Value& y);
  Value swiglu(const Value& gate, const Value& up);
  Value gelu(const Value& x, bool tanh_form);
  /// Columns [begin, begin + width).
  Value columns(const Value& x, std::int64_t begin, std::int64_t width);

  /// From the last operation to the first, which forgets them. The caller has put the gradient of
  /// the loss into what it depends on.
  void backward();

 private:
  bool trained(const Tensor& value) const {
    return parameters_ != nullptr && value.defined() && parameters_->contains(value);
  }
  bool trained(const ops::Linear& layer) const;
  Value result(Tensor value, bool wanted);
  void note(std::function<void()> step) { steps_.push_back(std::move(step)); }

  const Parameters* parameters_;
  Dropout dropout_;
  std::vector<std::function<void()>> steps_;
};

/// Adds the gradients of a linear layer's trained tensors, and that of its input unless `dx` is
/// null. `x` is what the layer was given, `dropout` what its adapters were given it through.
void linear_backward(const Parameters& parameters, const ops::Linear& layer, const Tensor& x,
                     const Tensor& dy, Tensor* dx, Dropout dropout = {});

}  // namespace plimsoll::train
