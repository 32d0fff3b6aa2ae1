#include "ops/cuda/device_cuda.h"

#include <algorithm>

#include "core/cuda/cublas_cuda.h"
#include "core/error.h"
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_prefill/attention_prefill_cuda.h"
#include "kernels/product/product_cuda.h"
#include "ops/cuda/open_cuda.h"

namespace plimsoll::ops {

namespace {

/// What is this large gets memory of its own, which goes back to the driver with it.
constexpr std::size_t kLarge = std::size_t{1} << 20;

class CapturedGraph : public DeviceGraph {
 public:
  CapturedGraph(cuda::Graph graph, std::shared_ptr<Scratch> scratch, const cuda::Stream& stream)
      : scratch_(std::move(scratch)), graph_(std::move(graph)), stream_(stream) {}
  void launch() override { graph_.launch(stream_); }

 private:
  std::shared_ptr<Scratch> scratch_;  // whose addresses the graph has
  cuda::Graph graph_;
  const cuda::Stream& stream_;
};

}  // namespace

CudaDevice::CudaDevice(const cuda::Device& facts) : facts_(facts) {}

Tensor CudaDevice::allocate(DType dtype, Shape shape, std::string_view what) {
  const auto bytes = static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype);
  if (bytes < kLarge) {
    const std::shared_ptr<std::byte> data = scratch_->take(bytes, what);
    return Tensor::on_device(*this, data.get(), dtype, std::move(shape), data);
  }
  const auto buffer = std::make_shared<cuda::Buffer>(bytes, what);
  return Tensor::on_device(*this, buffer->data(), dtype, std::move(shape), buffer);
}

void CudaDevice::require(std::uint64_t bytes, std::string_view what) {
  if (bytes > cuda::free_memory()) trim();
  cuda::require_memory(bytes, what);
}

void CudaDevice::upload(const void* source, void* target, std::size_t bytes) {
  if (bytes == 0) return;
  // From memory that is not pinned it returns when the source has been read.
  PLIMSOLL_CUDA_CHECK(
      cudaMemcpyAsync(target, source, bytes, cudaMemcpyHostToDevice, stream_.get()));
}

void CudaDevice::download(const void* source, void* target, std::size_t bytes) {
  if (bytes == 0) return;
  PLIMSOLL_CUDA_CHECK(
      cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToHost, stream_.get()));
  stream_.synchronize();
}

void CudaDevice::copy(const void* source, void* target, std::size_t bytes) {
  if (bytes == 0) return;
  PLIMSOLL_CUDA_CHECK(
      cudaMemcpyAsync(target, source, bytes, cudaMemcpyDeviceToDevice, stream_.get()));
}

std::int64_t CudaDevice::peak_bytes() const {
  return static_cast<std::int64_t>(cuda::memory_use().peak);
}
std::int64_t CudaDevice::held_bytes() const {
  return static_cast<std::int64_t>(cuda::memory_use().held);
}
std::int64_t CudaDevice::total_bytes() const {
  return static_cast<std::int64_t>(facts_.memory);
}
std::int64_t CudaDevice::free_bytes() const {
  return static_cast<std::int64_t>(cuda::free_memory());
}
void CudaDevice::reset_peak() {
  cuda::reset_peak_memory_use();
}

double CudaDevice::copy_gbps() {
  // Far more than the caches hold.
  constexpr std::size_t kBytes = std::size_t{512} << 20;
  constexpr int kRepeats = 5;
  return cuda::copy_bandwidth(kBytes, kRepeats);
}

double CudaDevice::dense_gops() {
  constexpr std::int64_t kSize = 8192;
  constexpr int kRepeats = 5;
  constexpr double kTera = 1e3;
  return kTera * cuda::cublas_rate(kSize, kRepeats);
}

TrainingDevice& CudaDevice::training() {
  constexpr int kAmpere = 80;
  if (facts_.compute_capability < kAmpere) {
    throw InputError("--device", "GPU to train on",
                     fmt::format("{} of sm_{}", facts_.name, facts_.compute_capability),
                     "sm_80 or later, or cpu");
  }
  return training_;
}

std::string CudaDevice::pci_bus_id() const {
  char id[32] = {};
  PLIMSOLL_CUDA_CHECK(cudaDeviceGetPCIBusId(id, sizeof id, facts_.index));
  return id;
}

std::int64_t CudaDevice::scratch_bytes(std::span<const ProductSize> products, const Heads& heads,
                                       std::int64_t tokens) const {
  // A piece that is too small for a later product stays beside the larger one (Scratch).
  std::size_t held = 0;
  std::size_t largest = 0;
  for (const ProductSize& product : products) {
    const std::size_t bytes =
        kernels::product::workspace_bytes(product.rows, product.columns, tokens);
    if (bytes > largest) held += bytes;
    largest = std::max(largest, bytes);
  }
  return static_cast<std::int64_t>(
      held +
      kernels::attention_decode_scratch(kernels::kPrefillScratchRows, heads.query, heads.dim));
}

std::byte* CudaDevice::prepared(std::string_view purpose, std::size_t bytes) {
  std::vector<cuda::Buffer>& buffers = prepared_[std::string(purpose)];
  if (buffers.empty() || buffers.back().bytes() < bytes) {
    // A graph may have the smaller one's address: it stays.
    PLIMSOLL_CHECK(!capturing_, "{} before it was run", purpose);
    buffers.emplace_back(bytes, purpose).fill(0);
  }
  return buffers.back().data();
}

std::unique_ptr<DeviceGraph> CudaDevice::capture(const std::function<void()>& enqueue) {
  PLIMSOLL_CHECK(!capturing_);
  auto own = std::make_shared<Scratch>();
  std::swap(scratch_, own);
  capturing_ = true;
  struct Restore {
    CudaDevice& device;
    std::shared_ptr<Scratch>& outer;
    ~Restore() {
      std::swap(device.scratch_, outer);
      device.capturing_ = false;
    }
  };
  cuda::Graph graph = [&] {
    const Restore restore{*this, own};
    return cuda::Graph::capture(stream_, enqueue);
  }();
  return std::make_unique<CapturedGraph>(std::move(graph), std::move(own), stream_);
}

CudaTokens::CudaTokens(std::int64_t rows, const cuda::Stream& stream)
    : rows_(rows), stream_(stream), step_(sizeof(std::uint32_t), "the choice of tokens") {
  void* chosen = nullptr;
  PLIMSOLL_CUDA_CHECK(cudaMallocHost(&chosen, static_cast<std::size_t>(rows) * kAhead * 4));
  chosen_ = cuda::Owned<std::int32_t*, cuda::free_pinned>(static_cast<std::int32_t*>(chosen));
  step_.fill(0);
}

void CudaTokens::enqueued() {
  PLIMSOLL_CHECK(enqueued_ - read_ < kAhead);
  done_[enqueued_++ % kAhead].record(stream_);
}

std::vector<std::int32_t> CudaTokens::read() {
  PLIMSOLL_CHECK(read_ < enqueued_);
  const std::uint64_t slot = read_++ % kAhead;
  done_[slot].synchronize();
  const std::int32_t* first = chosen_.get() + static_cast<std::int64_t>(slot) * rows_;
  return {first, first + rows_};
}

std::unique_ptr<DeviceTokens> CudaDevice::tokens(std::int64_t rows) {
  return std::make_unique<CudaTokens>(rows, stream_);
}

Device& open_cuda_device(int index) {
  static std::map<int, std::unique_ptr<CudaDevice>> devices;
  PLIMSOLL_CUDA_CHECK(cudaSetDevice(index));
  std::unique_ptr<CudaDevice>& device = devices[index];
  if (!device) {
    device = std::make_unique<CudaDevice>(cuda::devices()[static_cast<std::size_t>(index)]);
  }
  return *device;
}

}  // namespace plimsoll::ops
