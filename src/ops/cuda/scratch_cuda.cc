#include "ops/cuda/scratch_cuda.h"

#include <algorithm>

#include "core/error.h"

namespace plimsoll::ops {

namespace {

// A larger piece is taken for a smaller need up to this factor, so that texts of many lengths do
// not leave a piece each.
constexpr std::size_t kMostWaste = 4;
constexpr std::size_t kSmall = std::size_t{64} << 10;
constexpr std::size_t kGrain = 256;

/// CUDA refuses to allocate while a stream is captured, unless it is told that this is meant.
class AllowWhileCapturing {
 public:
  AllowWhileCapturing() { exchange(); }
  ~AllowWhileCapturing() { exchange(); }
  AllowWhileCapturing(const AllowWhileCapturing&) = delete;
  AllowWhileCapturing& operator=(const AllowWhileCapturing&) = delete;

 private:
  void exchange() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

cuda::Buffer Scratch::allocate(std::size_t bytes, std::string_view what) {
  const AllowWhileCapturing allow;
  try {
    return {bytes, what};
  } catch (const InputError&) {
    if (free_.empty()) throw;
    trim();
    return {bytes, what};
  }
}

std::shared_ptr<std::byte> Scratch::take(std::size_t bytes, std::string_view what) {
  const std::size_t size = std::max(kGrain, (bytes + kGrain - 1) / kGrain * kGrain);
  const auto found = free_.lower_bound(size);
  auto buffer = std::make_unique<cuda::Buffer>();
  if (found != free_.end() && found->first <= std::max(kSmall, kMostWaste * size)) {
    *buffer = std::move(found->second);
    free_.erase(found);
  } else {
    *buffer = allocate(size, what);
  }
  std::byte* data = buffer->data();
  return {data, [self = shared_from_this(), owned = buffer.release()](std::byte*) {
            const std::unique_ptr<cuda::Buffer> back(owned);
            const std::size_t held = back->bytes();
            self->free_.emplace(held, std::move(*back));
          }};
}

}  // namespace plimsoll::ops
