// A block owns a tile of one head's queries (forward, dq) or of one KV head's keys (dk and dv), and
// the tiles of the other side that it has to do with pass by.
#include "kernels/attention_training/attention_training_cuda.h"
#include "kernels/attention_training/training_tiles_cuda.cuh"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

using training::Sums;
using training::Tiles;

using Args = DeviceAttentionTrainingArgs;
using GradientArgs = DeviceAttentionGradientArgs;

/// How far behind a query its keys begin.
__device__ unsigned reach_of(const Args& args) {
  constexpr std::int64_t kAll = 0x7fffffff;
  return static_cast<unsigned>(args.window == 0 ? kAll : min(args.window, kAll));
}
/// Whether a query sees the key that lies so many rows before it; negative ones are far away.
__device__ bool visible(int distance, unsigned reach) {
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

/// The tiles of keys that queries [first, end) see begin here.
template <int kSeen>
__device__ std::int64_t first_key(const Args& args, std::int64_t first) {
  if (args.window == 0 || first < args.window) return 0;
  return (first - args.window + 1) / kSeen * kSeen;
}

/// Row `row` of `to` (+)= factor * the sums of columns [0, kColumns); `part` 0 are rows g of the
/// tile, 1 rows g + 8.
template <bool kAdd, int kColumns>
__device__ void store_row(float* to, int columns, const Sums<kColumns>& sums, int part,
                          float factor) {
  const int t = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int n = 0; n < kColumns / 8; ++n) {
    const int column = n * 8 + 2 * t;
    if (column >= columns) continue;
    auto* at = reinterpret_cast<float2*>(to + column);
    float2 value{factor * sums[n][2 * part], factor * sums[n][2 * part + 1]};
    if constexpr (kAdd) value = {at->x + value.x, at->y + value.y};
    *at = value;
  }
}

template <int kDim>
__global__ void __launch_bounds__(Tiles<kDim>::kThreads)
    forward_kernel(const __grid_constant__ Args args) {
  using T = Tiles<kDim>;
  extern __shared__ __align__(16) float shared[];
  float* const queries = shared;
  float* const keys = queries + T::kOwn * T::kStride;
  float* const values = keys + T::kSeen * T::kStride;
  const Side side(args);
  // The longest rows first.
  const std::int64_t first = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x) * T::kOwn;
  if (first >= side.length) return;
  const std::int64_t head = blockIdx.y;
  const std::int64_t kv_head = head * args.kv_heads / args.heads;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const std::int64_t end = min(first + T::kOwn, side.length);
  training::load_rows<kDim, T::kOwn>(queries, side.query(args.q, head, first), side.wide,
                                     end - first, side.dim, args.scale);
  const unsigned reach = reach_of(args);
  Sums<kDim> out{};
  // Of rows g and g + 8. The lowest is finite: no infinity is taken off itself where a tile has no
  // key that a row sees.
  float largest[2] = {-1e30f, -1e30f};
  float total[2] = {};  // of this lane's columns
  for (std::int64_t key = first_key<T::kSeen>(args, first); key < end; key += T::kSeen) {
    __syncthreads();
    training::load_rows<kDim, T::kSeen>(keys, side.key(args.k, kv_head, key), side.narrow,
                                        side.length - key, side.dim, 1);
    training::load_rows<kDim, T::kSeen>(values, side.key(args.v, kv_head, key), side.narrow,
                                        side.length - key, side.dim, 1);
    __syncthreads();
    const int distance = static_cast<int>(first - key) + warp_row + g - 2 * t;
    Sums<T::kSeen> scores;
    training::multiply_transposed<kDim>(scores, queries + warp_row * T::kStride, keys);
#pragma unroll
    for (int part = 0; part < 2; ++part) {
      float above = largest[part];
#pragma unroll
      for (int n = 0; n < T::kSeen / 8; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& score = scores[n][2 * part + j];
          if (!visible(distance + part * 8 - n * 8 - j, reach)) score = -INFINITY;
          above = fmaxf(above, score);
        }
      }
      above = training::row_max(above);
      const float shrink = __expf(largest[part] - above);
      largest[part] = above;
      total[part] *= shrink;
#pragma unroll
      for (int n = 0; n < T::kSeen / 8; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& score = scores[n][2 * part + j];
          score = __expf(score - above);
          total[part] += score;
        }
      }
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        out[n][2 * part] *= shrink;
        out[n][2 * part + 1] *= shrink;
      }
    }
    training::multiply<kDim, kDim>(out, scores, values);
  }
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const float sum = training::row_sum(total[part]);
    const std::int64_t query = first + warp_row + g + part * 8;
    if (query >= side.length) continue;
    store_row<false, kDim>(side.query(args.out, head, query), side.dim, out, part, 1 / sum);
    if (t == 0) args.log_sum[head * args.rows + side.begin + query] = largest[part] + logf(sum);
  }
}

constexpr int kOffsetWarps = 8;

/// sum(dout * out) of each query and head: what the softmax's normalisation takes off.
__global__ void __launch_bounds__(kOffsetWarps * 32)
    offset_kernel(const __grid_constant__ GradientArgs args) {
  const Args& f = args.forward;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kOffsetWarps + threadIdx.x / 32;
  if (i >= f.rows * f.heads) return;  // all of a warp
  const float* out = f.out + i * f.head_dim;
  const float* dout = args.dout + i * f.head_dim;
  float sum = 0;
  for (std::int64_t d = threadIdx.x % 32; d < f.head_dim; d += 32) sum += out[d] * dout[d];
  sum = cuda_device::warp_sum(sum);
  if (threadIdx.x % 32 == 0) args.scratch[i % f.heads * f.rows + i / f.heads] = sum;
}

/// of(n, j, score, slope) for each element of two matrices [16, kSeen] as mma leaves them: element
/// j of eight columns n.
template <int kSeen, class Of>
__device__ void for_each_pair(Sums<kSeen>& scores, Sums<kSeen>& slopes, const Of& of) {
#pragma unroll
  for (int n = 0; n < kSeen / 8; ++n) {
#pragma unroll
    for (int j = 0; j < 4; ++j) of(n, j, scores[n][j], slopes[n][j]);
  }
}

template <int kDim>
__global__ void __launch_bounds__(Tiles<kDim>::kThreads)
    query_gradient_kernel(const __grid_constant__ GradientArgs args) {
  using T = Tiles<kDim>;
  const Args& f = args.forward;
  extern __shared__ __align__(16) float shared[];
  float* const queries = shared;
  float* const douts = queries + T::kOwn * T::kStride;
  float* const keys = douts + T::kOwn * T::kStride;
  float* const values = keys + T::kSeen * T::kStride;
  const Side side(f);
  const std::int64_t first = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x) * T::kOwn;
  if (first >= side.length) return;
  const std::int64_t head = blockIdx.y;
  const std::int64_t kv_head = head * f.kv_heads / f.heads;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  const std::int64_t end = min(first + T::kOwn, side.length);
  training::load_rows<kDim, T::kOwn>(queries, side.query(f.q, head, first), side.wide, end - first,
                                     side.dim, f.scale);
  training::load_rows<kDim, T::kOwn>(douts, side.query(args.dout, head, first), side.wide,
                                     end - first, side.dim, 1);
  float log_sum[2] = {};
  float offset[2] = {};
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const std::int64_t query = first + warp_row + g + part * 8;
    if (query >= side.length) continue;
    log_sum[part] = f.log_sum[head * f.rows + side.begin + query];
    offset[part] = args.scratch[head * f.rows + side.begin + query];
  }
  const unsigned reach = reach_of(f);
  Sums<kDim> gradient{};
  for (std::int64_t key = first_key<T::kSeen>(f, first); key < end; key += T::kSeen) {
    __syncthreads();
    training::load_rows<kDim, T::kSeen>(keys, side.key(f.k, kv_head, key), side.narrow,
                                        side.length - key, side.dim, 1);
    training::load_rows<kDim, T::kSeen>(values, side.key(f.v, kv_head, key), side.narrow,
                                        side.length - key, side.dim, 1);
    __syncthreads();
    const int distance = static_cast<int>(first - key) + warp_row + g - 2 * t;
    Sums<T::kSeen> scores;
    Sums<T::kSeen> slopes;
    training::multiply_transposed<kDim>(scores, queries + warp_row * T::kStride, keys);
    training::multiply_transposed<kDim>(slopes, douts + warp_row * T::kStride, values);
    for_each_pair<T::kSeen>(scores, slopes, [&](int n, int j, float score, float& slope) {
      const int part = j / 2;
      const bool seen = visible(distance + part * 8 - n * 8 - j % 2, reach);
      slope = seen ? __expf(score - log_sum[part]) * (slope - offset[part]) : 0.0f;
    });
    training::multiply<kDim, kDim>(gradient, slopes, keys);
  }
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const std::int64_t query = first + warp_row + g + part * 8;
    if (query >= side.length) continue;
    store_row<true, kDim>(side.query(args.dq, head, query), side.dim, gradient, part, f.scale);
  }
}

/// Columns of dk and dv that a block has registers for.
template <int kDim>
constexpr int kGradientColumns = kDim < 128 ? kDim : 128;

template <int kDim>
__global__ void __launch_bounds__(Tiles<kDim>::kThreads)
    key_gradient_kernel(const __grid_constant__ GradientArgs args) {
  using T = Tiles<kDim>;
  constexpr int kColumns = kGradientColumns<kDim>;
  constexpr int kParts = kDim / kColumns;
  const Args& f = args.forward;
  extern __shared__ __align__(16) float shared[];
  float* const keys = shared;
  float* const values = keys + T::kOwn * T::kStride;
  float* const queries = values + T::kOwn * T::kStride;
  float* const douts = queries + T::kSeen * T::kStride;
  const Side side(f);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) / kParts * T::kOwn;
  if (first >= side.length) return;
  const int column = static_cast<int>(blockIdx.x) % kParts * kColumns;
  const std::int64_t kv_head = blockIdx.y;
  const std::int64_t group = f.heads / f.kv_heads;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  const int t = static_cast<int>(threadIdx.x) % 4;
  training::load_rows<kDim, T::kOwn>(keys, side.key(f.k, kv_head, first), side.narrow,
                                     side.length - first, side.dim, 1);
  training::load_rows<kDim, T::kOwn>(values, side.key(f.v, kv_head, first), side.narrow,
                                     side.length - first, side.dim, 1);
  const unsigned reach = reach_of(f);
  Sums<kColumns> dk{};
  Sums<kColumns> dv{};
  // The last query that sees a key of this tile.
  const std::int64_t end =
      f.window == 0 ? side.length : min(side.length, first + T::kOwn - 1 + f.window);
  for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const std::int64_t of_head = head * f.rows + side.begin;
    for (std::int64_t query = first; query < end; query += T::kSeen) {
      __syncthreads();
      training::load_rows<kDim, T::kSeen>(queries, side.query(f.q, head, query), side.wide,
                                          side.length - query, side.dim, f.scale);
      training::load_rows<kDim, T::kSeen>(douts, side.query(args.dout, head, query), side.wide,
                                          side.length - query, side.dim, 1);
      // Log sums and offsets lie where rows are padded. Beyond the sequence all is zero, and so is
      // what it adds.
      if (threadIdx.x < T::kSeen) {
        const std::int64_t row = query + threadIdx.x;
        const bool inside = row < side.length;
        float* const padding = queries + threadIdx.x * T::kStride + kDim;
        padding[0] = inside ? f.log_sum[of_head + row] : 0.0f;
        padding[1] = inside ? args.scratch[of_head + row] : 0.0f;
      }
      __syncthreads();
      const int distance = static_cast<int>(query - first) + 2 * t - warp_row - g;
      Sums<T::kSeen> weights;
      Sums<T::kSeen> slopes;
      training::multiply_transposed<kDim>(weights, keys + warp_row * T::kStride, queries);
      training::multiply_transposed<kDim>(slopes, values + warp_row * T::kStride, douts);
      for_each_pair<T::kSeen>(weights, slopes, [&](int n, int j, float& weight, float& slope) {
        const int row = n * 8 + 2 * t + j % 2;
        const float2 of = *reinterpret_cast<const float2*>(queries + row * T::kStride + kDim);
        const bool seen = visible(distance + n * 8 + j % 2 - j / 2 * 8, reach);
        weight = seen ? __expf(weight - of.x) : 0.0f;
        slope = weight * (slope - of.y);
      });
      training::multiply<kDim, kColumns>(dv, weights, douts + column);
      training::multiply<kDim, kColumns>(dk, slopes, queries + column);
    }
  }
#pragma unroll
  for (int part = 0; part < 2; ++part) {
    const std::int64_t key = first + warp_row + g + part * 8;
    if (key >= side.length) continue;
    const int columns = side.dim - column;
    store_row<true, kColumns>(side.key(args.dk, kv_head, key) + column, columns, dk, part, 1);
    store_row<true, kColumns>(side.key(args.dv, kv_head, key) + column, columns, dv, part, 1);
  }
}

template <int kDim, class A>
void run(void (*kernel)(A), std::int64_t parts, std::int64_t heads, const Args& f, const A& args,
         cudaStream_t stream) {
  using T = Tiles<kDim>;
  allow_shared(kernel, T::kShared);
  const std::int64_t tiles = (f.longest + T::kOwn - 1) / T::kOwn;
  const dim3 grid(static_cast<unsigned>(tiles * parts), static_cast<unsigned>(heads),
                  static_cast<unsigned>(f.sequences));
  launch(kernel, {grid, dim3(T::kThreads), T::kShared}, stream, args);
}

template <int kDim>
void forward(const Args& args, cudaStream_t stream) {
  run<kDim>(forward_kernel<kDim>, 1, args.heads, args, args, stream);
}

template <int kDim>
void backward(const GradientArgs& args, cudaStream_t stream) {
  const Args& f = args.forward;
  run<kDim>(key_gradient_kernel<kDim>, kDim / kGradientColumns<kDim>, f.kv_heads, f, args, stream);
  run<kDim>(query_gradient_kernel<kDim>, 1, f.heads, f, args, stream);
}

void check(const Args& args) {
  const bool taken =
      args.head_dim > 0 && args.head_dim % 4 == 0 && args.head_dim <= kMaxTrainingHeadDim;
  if (!taken) PLIMSOLL_CUDA_CHECK(cudaErrorInvalidValue);
}

}  // namespace

void attention_training_forward(const DeviceAttentionTrainingArgs& args, cudaStream_t stream) {
  check(args);
  if (args.rows == 0) return;
  if (args.head_dim <= 64) return forward<64>(args, stream);
  if (args.head_dim <= 128) return forward<128>(args, stream);
  forward<256>(args, stream);
}

void attention_training_backward(const DeviceAttentionGradientArgs& args, cudaStream_t stream) {
  const Args& f = args.forward;
  check(f);
  if (f.rows == 0) return;
  const std::int64_t blocks = (f.rows * f.heads + kOffsetWarps - 1) / kOffsetWarps;
  launch(offset_kernel, {dim3(static_cast<unsigned>(blocks)), dim3(kOffsetWarps * 32)}, stream,
         args);
  if (f.head_dim <= 64) return backward<64>(args, stream);
  if (f.head_dim <= 128) return backward<128>(args, stream);
  backward<256>(args, stream);
}

}  // namespace plimsoll::kernels
