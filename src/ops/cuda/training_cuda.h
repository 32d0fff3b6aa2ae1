// ops::TrainingDevice on a GPU of NVIDIA's: the kernels' backwards, and products by cuBLASLt.
#pragma once

#include <memory>
#include <string_view>

#include "core/cuda/cublas_cuda.h"
#include "ops/training_device.h"

namespace plimsoll::ops {

class CudaDevice;

class CudaTraining : public TrainingDevice {
 public:
  /// Of `device`, which owns it.
  explicit CudaTraining(CudaDevice& device) : device_(device) {}

  Tensor empty(Shape shape) override;
  Tensor upload(const Tensor& host) override;
  void clear(Tensor& x) override;
  Tensor embedding(const quant::Matrix& table, std::span<const std::int32_t> ids) override;
  void embedding_backward(std::span<const std::int32_t> ids, const Tensor& dy,
                          Tensor& dtable) override;
  Tensor norm(const Tensor& x, const Tensor& weight, const Tensor* bias, float epsilon) override;
  void rms_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                         Tensor& dx, Tensor& dweight) override;
  void layer_norm_backward(const Tensor& x, const Tensor& weight, float epsilon, const Tensor& dy,
                           Tensor& dx, Tensor& dweight, Tensor& dbias) override;
  void rope(Tensor& x, std::int64_t head_dim, const RopeTable& table) override;
  void rope_backward(Tensor& dx, std::int64_t head_dim, const RopeTable& table) override;
  void add_scaled(Tensor& x, const Tensor& y, float scale) override;
  void swiglu(Tensor& gate, const Tensor& up) override;
  void swiglu_backward(const Tensor& gate, const Tensor& up, const Tensor& dy, Tensor& dgate,
                       Tensor& dup) override;
  void gelu(Tensor& x, bool tanh_form) override;
  void gelu_backward(const Tensor& x, const Tensor& dy, bool tanh_form, Tensor& dx) override;
  Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t width) override;
  void columns_backward(const Tensor& dy, std::int64_t begin, Tensor& dx) override;
  Tensor dropout(const Tensor& x, double share, std::uint64_t seed) override;
  void dropout_backward(const Tensor& dy, double share, std::uint64_t seed, Tensor& dx) override;
  Tensor linear(const Tensor& x, const Linear& layer) override;
  void linear_input_backward(const quant::Matrix& weight, const DeviceLinear* packed,
                             const Tensor& dy, Tensor& dx, float scale) override;
  void linear_weight_backward(const Tensor& dy, const Tensor& x, Tensor& dw, float scale) override;
  void linear_bias_backward(const Tensor& dy, Tensor& db) override;
  void attention(TrainingAttention& attention) override;
  void attention_backward(const TrainingAttention& attention, const Tensor& dout, Tensor& dq,
                          Tensor& dk, Tensor& dv) override;
  void cross_entropy(Tensor& logits, std::span<const std::int32_t> targets, float weight,
                     Tensor& total) override;
  void adamw(Tensor& values, const Tensor& gradients, Tensor& mean, Tensor& square,
             const kernels::AdamWArgs& settings) override;
  double sum_of_squares(const Tensor& x) override;

 private:
  /// The product that `args` says, in TF32, with a workspace.
  void gemm(cuda::GemmArgs args);
  /// body(rows of W in fp32, floats from one to the next, the first, one past the last) for all
  /// rows: those of packed weights are decoded some at a time.
  template <class Body>
  void for_weight_rows(const quant::Matrix& weight, const DeviceLinear* packed, const Body& body);

  CudaDevice& device_;
};

}  // namespace plimsoll::ops
