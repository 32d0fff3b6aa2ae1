// What the kernels of attention_training_cuda.h have in common: who owns which rows, how tiles pass
// by, and how a kernel is launched for a head dim.
#pragma once

#include "kernels/attention_training/attention_training_cuda.h"
#include "kernels/attention_training/training_tiles_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels::training {

using Args = DeviceAttentionTrainingArgs;
using GradientArgs = DeviceAttentionGradientArgs;

/// How far behind a query its keys begin.
__device__ inline unsigned reach_of(const Args& args) {
  constexpr std::int64_t kAll = 0x7fffffff;
  return static_cast<unsigned>(args.window == 0 ? kAll : min(args.window, kAll));
}
/// Whether a query sees the key that lies so many rows before it; negative ones are far away.
__device__ inline bool visible(int distance, unsigned reach) {
  return static_cast<unsigned>(distance) < reach;
}

/// One head of one sequence. Rows are counted from the sequence's first.
struct Side {
  std::int64_t begin;   // the sequence's first row in the batch
  std::int64_t length;  // its rows
  std::int64_t wide;    // floats from a row of queries to the next
  std::int64_t narrow;  // of keys
  int dim;

  __device__ explicit Side(const Args& args)
      : begin(args.bounds[blockIdx.z]),
        length(args.bounds[blockIdx.z + 1] - begin),
        wide(args.heads * args.head_dim),
        narrow(args.kv_heads * args.head_dim),
        dim(static_cast<int>(args.head_dim)) {}

  template <class T>
  __device__ T* query(T* data, std::int64_t head, std::int64_t row) const {
    return data + (begin + row) * wide + head * dim;
  }
  template <class T>
  __device__ T* key(T* data, std::int64_t head, std::int64_t row) const {
    return data + (begin + row) * narrow + head * dim;
  }
};

/// Where a thread's sums lie: row `part` of its 2 * kFolds begins at `row` + 8 * part.
template <class T>
struct Lane {
  int warp_row = static_cast<int>(threadIdx.x) / 32 * T::kWarpRows;
  int row = warp_row + static_cast<int>(threadIdx.x) % 32 / 4;
  int column = static_cast<int>(threadIdx.x) % 4 * 2;  // and the next, of every eight
};

/// The tiles of keys that queries from `first` on see begin here.
template <class T>
__device__ std::int64_t first_key(const Args& args, std::int64_t first) {
  if (args.window == 0 || first < args.window) return 0;
  return (first - args.window + 1) / T::kSeen * T::kSeen;
}

/// The tiles 0 to `count` - 1 pass by in shared memory: request(tile, buffer) asks for one,
/// use(tile, buffer) finds it there and for itself. What was requested before belongs to the first.
template <class T, class Request, class Round, class Use>
__device__ void pass_by(int count, float* buffers, const Request& request, const Round& round,
                        const Use& use) {
  const auto buffer_of = [&](int tile) { return buffers + tile % T::kBuffers * 2 * T::kSeenSize; };
  if (T::kBuffers > 1) request(0, buffer_of(0));
  cuda_device::close_copy_group();
  for (int tile = 0; tile < count; ++tile) {
    __syncthreads();  // all are done with what was in the buffer
    const int next = tile + T::kBuffers - 1;
    if (next < count) request(next, buffer_of(next));
    cuda_device::close_copy_group();
    cuda_device::wait_for_copies<T::kBuffers - 1>();
    round(tile, buffer_of(tile));
    __syncthreads();
    use(tile, buffer_of(tile));
  }
}

/// Row `part` of a lane's: `to` (+)= factor * sums.
template <class T, bool kAdd, int kColumns>
__device__ void store_row(float* to, int columns, const typename T::template Sums<kColumns>& sums,
                          int part, int first_column, float factor) {
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
    const int column = n * 8 + first_column;
    if (column >= columns) continue;
    auto* const at = reinterpret_cast<float2*>(to + column);
    const float* const of = sums[part / 2][n] + part % 2 * 2;
    float2 value{factor * of[0], factor * of[1]};
    if constexpr (kAdd) value = {at->x + value.x, at->y + value.y};
    *at = value;
  }
}

/// A tile of keys and one of values, one behind the other in a buffer.
template <class T>
__device__ void request_keys(const Args& args, const Side& side, std::int64_t kv_head,
                             std::int64_t key, float* buffer) {
  const std::int64_t count = side.length - key;
  request_rows<T, T::kSeen>(buffer, side.key(args.k, kv_head, key), side.narrow, count, side.dim);
  request_rows<T, T::kSeen>(buffer + T::kSeenSize, side.key(args.v, kv_head, key), side.narrow,
                            count, side.dim);
}
template <class T>
__device__ void round_both(float* buffer, float scale) {
  round_rows<T, T::kSeen>(buffer, scale);
  round_rows<T, T::kSeen>(buffer + T::kSeenSize, 1);
}

template <class T, class A>
void run(void (*kernel)(A), int owned, int parts, std::int64_t heads, const Args& f, const A& args,
         cudaStream_t stream) {
  const std::size_t shared = T::shared_bytes(owned);
  allow_shared(kernel, shared);
  const std::int64_t tiles = (f.longest + T::kOwn - 1) / T::kOwn;
  const dim3 grid(static_cast<unsigned>(tiles * parts), static_cast<unsigned>(heads),
                  static_cast<unsigned>(f.sequences));
  kernels::launch(kernel, {grid, dim3(T::kThreads), shared}, stream, args);
}

/// Bytes of shared memory that a block may have on the current device, asked once a process.
inline std::size_t shared_limit() {
  static const int kLimit = [] {
    int device = 0;
    int bytes = 0;
    PLIMSOLL_CUDA_CHECK(cudaGetDevice(&device));
    PLIMSOLL_CUDA_CHECK(
        cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    return bytes;
  }();
  return static_cast<std::size_t>(kLimit);
}

/// of(Tiles) for the head dim and the device.
template <int kDim, class Of>
void with_tiles_of(const Of& of) {
  using Roomy = Tiles<kDim, true>;
  Roomy::shared_bytes(2) <= shared_limit() ? of(Roomy()) : of(Tiles<kDim, false>());
}
template <class Of>
void with_tiles(std::int64_t head_dim, const Of& of) {
  if (head_dim <= 64) return with_tiles_of<64>(of);
  if (head_dim <= 128) return with_tiles_of<128>(of);
  with_tiles_of<256>(of);
}

/// InternalError on a head dim that the kernels do not take.
inline void check(const Args& args) {
  const bool taken =
      args.head_dim > 0 && args.head_dim % 4 == 0 && args.head_dim <= kMaxTrainingHeadDim;
  if (!taken) PLIMSOLL_CUDA_CHECK(cudaErrorInvalidValue);
}

}  // namespace plimsoll::kernels::training
