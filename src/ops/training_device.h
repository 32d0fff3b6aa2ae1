// What training does on a GPU: single operations in fp32 and their gradients, where ops/device.h
// has a model's layers for inference. The functions of elementwise.h, linear.h, backward.h and
// adamw.h come here when their tensors lie on a GPU. Products round their operands to TF32 (11
// significant bits), sums are fp32. Every sum has one order: the same input gives the same bits.
#pragma once

#include <cstdint>
#include <span>

#include "ops/backward.h"
#include "ops/linear.h"

namespace plimsoll::kernels {
struct AdamWArgs;
}

namespace plimsoll::ops {

class Device;

/// Everything is enqueued in order. Tensors that operations return, and those of empty(), lie in
/// memory that is used again once they are gone; InputError where the GPU has not enough. Shapes
/// and meanings are those of the functions of the same names, which have checked them.
class TrainingDevice {
 public:
  virtual ~TrainingDevice() = default;

  /// f32, uninitialised.
  virtual Tensor empty(Shape shape) = 0;
  virtual Tensor upload(const Tensor& host) = 0;
  /// All zero bytes.
  virtual void clear(Tensor& x) = 0;

  virtual Tensor embedding(const quant::Matrix& table, std::span<const std::int32_t> ids) = 0;
  virtual void embedding_backward(std::span<const std::int32_t> ids, const Tensor& dy,
                                  Tensor& dtable) = 0;
  /// `bias` nullptr: RMSNorm.
  virtual Tensor norm(const Tensor& x, const Tensor& weight, const Tensor* bias, float epsilon) = 0;
  virtual void rms_norm_backward(const Tensor& x, const Tensor& weight, float epsilon,
                                 const Tensor& dy, Tensor& dx, Tensor& dweight) = 0;
  virtual void layer_norm_backward(const Tensor& x, const Tensor& weight, float epsilon,
                                   const Tensor& dy, Tensor& dx, Tensor& dweight,
                                   Tensor& dbias) = 0;
  virtual void rope(Tensor& x, std::int64_t head_dim, const RopeTable& table) = 0;
  virtual void rope_backward(Tensor& dx, std::int64_t head_dim, const RopeTable& table) = 0;
  virtual void add_scaled(Tensor& x, const Tensor& y, float scale) = 0;
  virtual void swiglu(Tensor& gate, const Tensor& up) = 0;
  virtual void swiglu_backward(const Tensor& gate, const Tensor& up, const Tensor& dy,
                               Tensor& dgate, Tensor& dup) = 0;
  virtual void gelu(Tensor& x, bool tanh_form) = 0;
  virtual void gelu_backward(const Tensor& x, const Tensor& dy, bool tanh_form, Tensor& dx) = 0;
  virtual Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t width) = 0;
  virtual void columns_backward(const Tensor& dy, std::int64_t begin, Tensor& dx) = 0;
  virtual Tensor dropout(const Tensor& x, double share, std::uint64_t seed) = 0;
  virtual void dropout_backward(const Tensor& dy, double share, std::uint64_t seed, Tensor& dx) = 0;

  /// Weights as Device::pack() left them are decoded some rows at a time; others are fp32.
  virtual Tensor linear(const Tensor& x, const Linear& layer) = 0;
  virtual void linear_input_backward(const quant::Matrix& weight, const DeviceLinear* packed,
                                     const Tensor& dy, Tensor& dx, float scale) = 0;
  virtual void linear_weight_backward(const Tensor& dy, const Tensor& x, Tensor& dw,
                                      float scale) = 0;
  virtual void linear_bias_backward(const Tensor& dy, Tensor& db) = 0;

  virtual void attention(TrainingAttention& attention) = 0;
  virtual void attention_backward(const TrainingAttention& attention, const Tensor& dout,
                                  Tensor& dq, Tensor& dk, Tensor& dv) = 0;
  virtual void cross_entropy(Tensor& logits, std::span<const std::int32_t> targets, float weight,
                             Tensor& total) = 0;

  virtual void adamw(Tensor& values, const Tensor& gradients, Tensor& mean, Tensor& square,
                     const kernels::AdamWArgs& settings) = 0;
  /// Waits for it.
  virtual double sum_of_squares(const Tensor& x) = 0;
};

/// The GPU that `tensor` lies on; nullptr: the host.
TrainingDevice* training_device(const Tensor& tensor);

}  // namespace plimsoll::ops
