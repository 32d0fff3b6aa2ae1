// A block owns a tile of one KV head's keys (dk and dv) or of one head's queries (dq), and the
// tiles of the other side that it has to do with pass by.
#include "kernels/attention_training/training_block_cuda.cuh"
#include "kernels/cuda/device_cuda.cuh"

namespace plimsoll::kernels {

namespace {

using training::Args;
using training::GradientArgs;

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

/// of(part, n, j, score, slope) for each element of two matrices as mma leaves them: element j of
/// two, of eight columns n, of a lane's row `part`.
template <class T, class Of>
__device__ void for_each_pair(typename T::template Sums<T::kSeen>& scores,
                              typename T::template Sums<T::kSeen>& slopes, const Of& of) {
#pragma unroll
  for (int part = 0; part < 2 * T::kFolds; ++part) {
#pragma unroll
    for (int n = 0; n < T::kSeen / 8; ++n) {
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        of(part, n, j, scores[part / 2][n][part % 2 * 2 + j],
           slopes[part / 2][n][part % 2 * 2 + j]);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads)
    query_gradient_kernel(const __grid_constant__ GradientArgs args) {
  const Args& f = args.forward;
  extern __shared__ __align__(16) float shared[];
  float* const queries = shared;
  float* const douts = queries + T::kOwnSize;
  const training::Side side(f);
  const std::int64_t first = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x) * T::kOwn;
  if (first >= side.length) return;
  const std::int64_t head = blockIdx.y;
  const std::int64_t kv_head = head * f.kv_heads / f.heads;
  const training::Lane<T> lane;
  const std::int64_t end = min(first + T::kOwn, side.length);
  const std::int64_t begin = training::first_key<T>(f, first);
  const unsigned reach = training::reach_of(f);
  training::request_rows<T, T::kOwn>(queries, side.query(f.q, head, first), side.wide, end - first,
                                     side.dim);
  training::request_rows<T, T::kOwn>(douts, side.query(args.dout, head, first), side.wide,
                                     end - first, side.dim);
  constexpr int kParts = 2 * T::kFolds;
  float log_sum[kParts] = {};
  float offset[kParts] = {};
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const std::int64_t query = first + lane.row + part * 8;
    if (query >= side.length) continue;
    log_sum[part] = f.log_sum[head * f.rows + side.begin + query];
    offset[part] = args.scratch[head * f.rows + side.begin + query];
  }
  typename T::template Sums<T::kDim> gradient{};
  const auto use = [&](int tile, const float* keys) {
    const int distance = static_cast<int>(first - begin) - tile * T::kSeen + lane.row - lane.column;
    typename T::template Sums<T::kSeen> scores;
    typename T::template Sums<T::kSeen> slopes;
    training::multiply_transposed<T>(scores, queries + lane.warp_row * T::kStride, keys);
    training::multiply_transposed<T>(slopes, douts + lane.warp_row * T::kStride,
                                     keys + T::kSeenSize);
    for_each_pair<T>(scores, slopes, [&](int part, int n, int j, float score, float& slope) {
      const bool seen = training::visible(distance + part * 8 - n * 8 - j, reach);
      slope = seen ? __expf(score - log_sum[part]) * (slope - offset[part]) : 0.0f;
    });
    training::multiply<T, T::kDim>(gradient, slopes, keys);
  };
  training::pass_by<T>(
      static_cast<int>((end - begin + T::kSeen - 1) / T::kSeen), douts + T::kOwnSize,
      [&](int tile, float* buffer) {
        training::request_keys<T>(f, side, kv_head, begin + tile * T::kSeen, buffer);
      },
      [&](int tile, float* buffer) {
        if (tile == 0) training::round_rows<T, T::kOwn>(queries, f.scale);
        if (tile == 0) training::round_rows<T, T::kOwn>(douts, 1);
        training::round_both<T>(buffer, 1);
      },
      use);
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const std::int64_t query = first + lane.row + part * 8;
    if (query >= side.length) continue;
    training::store_row<T, true, T::kDim>(side.query(args.dq, head, query), side.dim, gradient,
                                          part, lane.column, f.scale);
  }
}

/// Columns of dk and dv that a block has registers for.
template <class T>
constexpr int kGradientColumns = T::kDim < 128 ? T::kDim : 128;

template <class T>
__global__ void __launch_bounds__(T::kThreads)
    key_gradient_kernel(const __grid_constant__ GradientArgs args) {
  constexpr int kColumns = kGradientColumns<T>;
  constexpr int kBlocks = T::kDim / kColumns;  // of a tile
  const Args& f = args.forward;
  extern __shared__ __align__(16) float shared[];
  float* const keys = shared;
  float* const values = keys + T::kOwnSize;
  const training::Side side(f);
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) / kBlocks * T::kOwn;
  if (first >= side.length) return;
  const int column = static_cast<int>(blockIdx.x) % kBlocks * kColumns;
  const std::int64_t kv_head = blockIdx.y;
  const std::int64_t group = f.heads / f.kv_heads;
  const training::Lane<T> lane;
  const unsigned reach = training::reach_of(f);
  const std::int64_t count = side.length - first;
  training::request_rows<T, T::kOwn>(keys, side.key(f.k, kv_head, first), side.narrow, count,
                                     side.dim);
  training::request_rows<T, T::kOwn>(values, side.key(f.v, kv_head, first), side.narrow, count,
                                     side.dim);
  typename T::template Sums<kColumns> dk{};
  typename T::template Sums<kColumns> dv{};
  // To the last query that sees a key of this tile.
  const std::int64_t end =
      f.window == 0 ? side.length : min(side.length, first + T::kOwn - 1 + f.window);
  const auto tiles = static_cast<int>((end - first + T::kSeen - 1) / T::kSeen);  // of a head
  const auto request = [&](int tile, float* queries) {
    const std::int64_t head = kv_head * group + tile / tiles;
    const std::int64_t query = first + tile % tiles * T::kSeen;
    const std::int64_t left = side.length - query;
    training::request_rows<T, T::kSeen>(queries, side.query(f.q, head, query), side.wide, left,
                                        side.dim);
    training::request_rows<T, T::kSeen>(queries + T::kSeenSize, side.query(args.dout, head, query),
                                        side.wide, left, side.dim);
    // Log sums and offsets lie where rows are padded. Beyond the sequence all is zero, and so is
    // what it adds.
    const auto row = static_cast<int>(threadIdx.x);
    if (row >= T::kSeen) return;
    float* const padding = queries + row * T::kStride + T::kDim;
    if (row < left) {
      const std::int64_t at = head * f.rows + side.begin + query + row;
      training::copy_word_async(padding, f.log_sum + at);
      training::copy_word_async(padding + 1, args.scratch + at);
    } else {
      padding[0] = padding[1] = 0;
    }
  };
  const auto use = [&](int tile, const float* queries) {
    const int distance = tile % tiles * T::kSeen + lane.column - lane.row;
    typename T::template Sums<T::kSeen> weights;
    typename T::template Sums<T::kSeen> slopes;
    training::multiply_transposed<T>(weights, keys + lane.warp_row * T::kStride, queries);
    training::multiply_transposed<T>(slopes, values + lane.warp_row * T::kStride,
                                     queries + T::kSeenSize);
    for_each_pair<T>(weights, slopes, [&](int part, int n, int j, float& weight, float& slope) {
      const int row = n * 8 + lane.column + j;
      const float2 of = *reinterpret_cast<const float2*>(queries + row * T::kStride + T::kDim);
      const bool seen = training::visible(distance + n * 8 + j - part * 8, reach);
      weight = seen ? __expf(weight - of.x) : 0.0f;
      slope = weight * (slope - of.y);
    });
    training::multiply<T, kColumns>(dv, weights, queries + T::kSeenSize + column);
    training::multiply<T, kColumns>(dk, slopes, queries + column);
  };
  training::pass_by<T>(
      tiles * static_cast<int>(group), values + T::kOwnSize, request,
      [&](int tile, float* buffer) {
        if (tile == 0) training::round_rows<T, T::kOwn>(keys, 1);
        if (tile == 0) training::round_rows<T, T::kOwn>(values, 1);
        training::round_both<T>(buffer, f.scale);
      },
      use);
#pragma unroll
  for (int part = 0; part < 2 * T::kFolds; ++part) {
    const std::int64_t key = first + lane.row + part * 8;
    if (key >= side.length) continue;
    const int columns = side.dim - column;
    training::store_row<T, true, kColumns>(side.key(args.dk, kv_head, key) + column, columns, dk,
                                           part, lane.column, 1);
    training::store_row<T, true, kColumns>(side.key(args.dv, kv_head, key) + column, columns, dv,
                                           part, lane.column, 1);
  }
}

template <class T>
void backward(const GradientArgs& args, cudaStream_t stream) {
  const Args& f = args.forward;
  training::run<T>(key_gradient_kernel<T>, 2, T::kDim / kGradientColumns<T>, f.kv_heads, f, args,
                   stream);
  training::run<T>(query_gradient_kernel<T>, 2, 1, f.heads, f, args, stream);
}

}  // namespace

void attention_training_backward(const DeviceAttentionGradientArgs& args, cudaStream_t stream) {
  const Args& f = args.forward;
  training::check(f);
  if (f.rows == 0) return;
  const std::int64_t blocks = (f.rows * f.heads + kOffsetWarps - 1) / kOffsetWarps;
  launch(offset_kernel, {dim3(static_cast<unsigned>(blocks)), dim3(kOffsetWarps * 32)}, stream,
         args);
  training::with_tiles(f.head_dim, [&](auto tiles) { backward<decltype(tiles)>(args, stream); });
}

}  // namespace plimsoll::kernels
