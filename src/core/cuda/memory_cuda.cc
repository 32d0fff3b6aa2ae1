#include "core/cuda/memory_cuda.h"

#include <algorithm>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "core/units.h"

namespace plimsoll::cuda {

namespace {

std::mutex mutex;
MemoryUse use;
std::function<std::string(std::uint64_t)> advice;

}  // namespace

void set_memory_advice(std::function<std::string(std::uint64_t lacking)> wanted) {
  const std::lock_guard lock(mutex);
  advice = std::move(wanted);
}

std::string memory_advice(std::uint64_t lacking) {
  const std::lock_guard lock(mutex);
  const std::string words = advice ? advice(lacking) : std::string();
  return words.empty() ? words : ": " + words;
}

MemoryUse memory_use() {
  const std::lock_guard lock(mutex);
  return use;
}

void reset_peak_memory_use() {
  const std::lock_guard lock(mutex);
  use.peak = use.held;
}

std::uint64_t free_memory() {
  std::size_t free = 0;
  std::size_t total = 0;
  PLIMSOLL_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return free;
}

namespace {

[[noreturn]] void lacks(std::uint64_t bytes, std::string_view what) {
  const std::uint64_t free = free_memory();
  throw InputError(fmt::format("{} needs {} on the GPU, {} are free{}", what, format_bytes(bytes),
                               format_bytes(free), memory_advice(bytes - std::min(bytes, free))));
}

}  // namespace

void require_memory(std::uint64_t bytes, std::string_view what) {
  if (bytes > free_memory()) lacks(bytes, what);
}

Buffer::Buffer(std::size_t bytes, std::string_view what) : bytes_(bytes) {
  if (bytes == 0) return;
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // not a launch's
    lacks(bytes, what);
  }
  PLIMSOLL_CUDA_CHECK(error);
  data_ = static_cast<std::byte*>(data);
  const std::lock_guard lock(mutex);
  use.held += bytes;
  use.peak = std::max(use.peak, use.held);
}

Buffer::~Buffer() {
  if (data_ == nullptr) return;
  cudaFree(data_);  // the process may be at its end, where it fails
  const std::lock_guard lock(mutex);
  use.held -= bytes_;
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void Buffer::upload(const void* source, std::size_t bytes, std::size_t offset) {
  PLIMSOLL_CHECK(bytes <= bytes_ && offset <= bytes_ - bytes, "{} at {} of {}", bytes, offset,
                 bytes_);
  if (bytes == 0) return;
  PLIMSOLL_CUDA_CHECK(cudaMemcpy(data_ + offset, source, bytes, cudaMemcpyHostToDevice));
  // From pageable memory it returns when the bytes have left it.
  PLIMSOLL_CUDA_CHECK(cudaStreamSynchronize(nullptr));
}

void Buffer::download(void* target, std::size_t bytes, std::size_t offset) const {
  PLIMSOLL_CHECK(bytes <= bytes_ && offset <= bytes_ - bytes, "{} at {} of {}", bytes, offset,
                 bytes_);
  if (bytes == 0) return;
  PLIMSOLL_CUDA_CHECK(cudaMemcpy(target, data_ + offset, bytes, cudaMemcpyDeviceToHost));
}

void Buffer::fill(int value) {
  if (bytes_ == 0) return;
  PLIMSOLL_CUDA_CHECK(cudaMemset(data_, value, bytes_));
  PLIMSOLL_CUDA_CHECK(cudaDeviceSynchronize());
}

double copy_bandwidth(std::size_t bytes, int repeats) {
  PLIMSOLL_CHECK(bytes > 0 && repeats > 0);
  const Buffer source(bytes, "measuring the copy bandwidth");
  Buffer target(bytes, "measuring the copy bandwidth");
  const Stream stream;
  Event begin;
  Event end;
  std::vector<double> seconds;
  for (int repeat = -1; repeat < repeats; ++repeat) {  // the first warms up
    begin.record(stream);
    PLIMSOLL_CUDA_CHECK(cudaMemcpyAsync(target.data(), source.data(), bytes,
                                        cudaMemcpyDeviceToDevice, stream.get()));
    end.record(stream);
    const double elapsed = seconds_between(begin, end);
    if (repeat >= 0) seconds.push_back(elapsed);
  }
  const auto middle = seconds.begin() + repeats / 2;
  std::nth_element(seconds.begin(), middle, seconds.end());
  return 2e-9 * static_cast<double>(bytes) / *middle;
}

}  // namespace plimsoll::cuda
