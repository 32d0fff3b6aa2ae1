// ops::Device on a GPU of NVIDIA's.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/cuda/device.h"
#include "core/cuda/memory_cuda.h"
#include "core/cuda/runtime_cuda.h"
#include "kernels/gemv/gemv_cuda.h"
#include "kernels/low_rank/low_rank_cuda.h"
#include "ops/cuda/scratch_cuda.h"
#include "ops/cuda/training_cuda.h"
#include "ops/cuda/uploader_cuda.h"
#include "ops/device.h"

namespace plimsoll::ops {

/// Of all layers that lie as one; see kernels::low_rank::Args.
struct DeviceAdapters {
  cuda::Buffer a, b;
  std::int64_t ranks = 0;
  std::int64_t columns = 0;  // the layers', padded to whole fours
  std::vector<kernels::low_rank::Part> parts;
  std::int64_t bytes = 0;  // that must be read
};

struct DeviceLinear {
  kernels::gemv::UploadedWeights weights;
  Tensor bias;  // f32 [rows]; undefined: none
  quant::WeightFormat format = quant::WeightFormat::fp16;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t bytes = 0;  // of all that must be read to multiply, as the format counts them
  std::shared_ptr<const DeviceAdapters> adapters;  // nullptr: none
};

/// In the host's memory, which the choosing kernel writes to: a copy would stand between steps.
class CudaTokens : public DeviceTokens {
 public:
  CudaTokens(std::int64_t rows, const cuda::Stream& stream);
  void enqueued() override;
  std::vector<std::int32_t> read() override;

  std::int32_t* chosen() const {
    return chosen_.get();
  }  // [kAhead, rows], the device's address too
  std::uint32_t* step() const { return step_.data<std::uint32_t>(); }

 private:
  std::int64_t rows_;
  const cuda::Stream& stream_;
  cuda::Owned<std::int32_t*, cuda::free_pinned> chosen_;
  cuda::Buffer step_;
  cuda::Event done_[kAhead];
  std::uint64_t enqueued_ = 0;
  std::uint64_t read_ = 0;
};

class CudaDevice : public Device {
 public:
  explicit CudaDevice(const cuda::Device& facts);

  Tensor allocate(DType dtype, Shape shape, std::string_view what) override;
  void require(std::uint64_t bytes, std::string_view what) override;
  void upload(const void* source, void* target, std::size_t bytes) override;
  void download(const void* source, void* target, std::size_t bytes) override;
  void copy(const void* source, void* target, std::size_t bytes) override;

  std::string name() const override { return facts_.name; }
  std::string_view kind() const override { return "cuda"; }
  void synchronize() override;
  std::int64_t peak_bytes() const override;
  std::int64_t held_bytes() const override;
  std::int64_t total_bytes() const override;
  std::int64_t free_bytes() const override;
  void reset_peak() override;
  double copy_gbps() override;
  double dense_gops() override;
  std::string pci_bus_id() const override;
  std::int64_t scratch_bytes(std::span<const ProductSize> products, const Heads& heads,
                             std::int64_t tokens) const override;
  void trim() override { scratch_->trim(); }
  void advise_memory(std::function<std::string(std::uint64_t lacking)> advice) override {
    cuda::set_memory_advice(std::move(advice));
  }
  TrainingDevice& training() override;

  void pack(std::span<Linear* const> layers, Joined joined) override;
  void twin(const DeviceLinear& like, std::span<Linear* const> layers) override;

  bool embeds(const Linear& layer) const override;
  Tensor embedding(const DeviceRows& rows, const quant::Matrix& table, const Linear* tied,
                   const quant::Matrix* positions) override;
  Tensor norm(const Tensor& x, const Norm& norm) override;
  Tensor products(const Context& context, const Tensor& x, const Norm* norm,
                  std::span<const Linear* const> layers) override;
  Tensor swiglu(const Context& context, const Tensor& x, const Norm& norm, const Linear& gate,
                const Linear& up) override;
  Tensor gelu(const Context& context, const Tensor& x, const Norm& norm, const Linear& layer,
              bool tanh_form) override;
  void add_product(const Context& context, const Tensor& x, const Linear& layer,
                   Tensor& y) override;
  Tensor attention(const Context& context, const DeviceRows& rows, std::int64_t layer, Tensor& qkv,
                   const Heads& heads, const Tensor* frequencies,
                   const AttentionSettings& settings) override;
  std::unique_ptr<DeviceTokens> tokens(std::int64_t rows) override;
  void choose(const Tensor& logits, const DeviceRows& rows, DeviceTokens& tokens) override;

  std::unique_ptr<DeviceGraph> capture(const std::function<void()>& enqueue) override;

  // For training_cuda.h.
  cudaStream_t stream() const { return stream_.get(); }
  /// Uninitialised, for as long as it is held; InputError naming `what` where there is not enough.
  std::shared_ptr<std::byte> workspace(std::size_t bytes, std::string_view what) {
    return scratch_->take(bytes, what);
  }
  Tensor pooled(DType dtype, Shape shape);

 private:
  Tensor activations(std::int64_t rows, std::int64_t width, DType dtype = DType::f32) {
    return pooled(dtype, {rows, width});
  }
  /// What `first` hands to the product after it: many rows in the 16 bits they are rounded to
  /// there, unless adapters may want them or invariant numerics forbid kernels for many rows.
  Tensor between(const Context& context, const DeviceLinear& first, std::int64_t rows,
                 std::int64_t width);
  /// x after the norm (nullptr: as it is), with zeros up to `width` columns.
  Tensor normed(const Tensor& x, const Norm* norm, std::int64_t width);
  /// y = product of x and the weights, with what the epilogue says.
  void product(const Context& context, const Tensor& x, const Norm* norm,
               const DeviceLinear& linear, kernels::gemv::Epilogue epilogue, Tensor& y);
  /// The same without the adapters.
  void plain_product(const Context& context, const Tensor& x, const Norm* norm,
                     const DeviceLinear& linear, kernels::gemv::Epilogue epilogue, Tensor& y);
  /// Memory that a kernel wants zeroed once and leaves as it needs it: one a purpose.
  std::byte* prepared(std::string_view purpose, std::size_t bytes);

  cuda::Device facts_;
  CudaTraining training_{*this};
  cuda::Stream stream_;
  std::shared_ptr<Scratch> scratch_ = std::make_shared<Scratch>();
  Uploader uploader_;
  std::map<std::string, std::vector<cuda::Buffer>, std::less<>> prepared_;  // the largest last
  bool capturing_ = false;
  bool adapted_ = false;  // some layer has had adapters
};

}  // namespace plimsoll::ops
