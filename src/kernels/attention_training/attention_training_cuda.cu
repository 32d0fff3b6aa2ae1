// A block owns a tile of one head's queries, and the keys and values that they see pass by.
#include "kernels/attention_training/training_block_cuda.cuh"

namespace plimsoll::kernels {

namespace {

using training::Args;

template <class T>
__global__ void __launch_bounds__(T::kThreads) forward_kernel(const __grid_constant__ Args args) {
  extern __shared__ __align__(16) float shared[];
  float* const queries = shared;
  const training::Side side(args);
  // The longest rows first.
  const std::int64_t first = static_cast<std::int64_t>(gridDim.x - 1 - blockIdx.x) * T::kOwn;
  if (first >= side.length) return;
  const std::int64_t head = blockIdx.y;
  const std::int64_t kv_head = head * args.kv_heads / args.heads;
  const training::Lane<T> lane;
  const std::int64_t end = min(first + T::kOwn, side.length);
  const std::int64_t begin = training::first_key<T>(args, first);
  const unsigned reach = training::reach_of(args);
  training::request_rows<T, T::kOwn>(queries, side.query(args.q, head, first), side.wide,
                                     end - first, side.dim);
  typename T::template Sums<T::kDim> out{};
  // Of each of the lane's rows. The lowest is finite: no infinity is taken off itself where a tile
  // has no key that a row sees.
  constexpr int kParts = 2 * T::kFolds;
  float largest[kParts];
  float total[kParts];  // of this lane's columns
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    largest[part] = -1e30f;
    total[part] = 0;
  }
  const auto use = [&](int tile, const float* keys) {
    const int distance = static_cast<int>(first - begin) - tile * T::kSeen + lane.row - lane.column;
    typename T::template Sums<T::kSeen> scores;
    training::multiply_transposed<T>(scores, queries + lane.warp_row * T::kStride, keys);
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      float above = largest[part];
#pragma unroll
      for (int n = 0; n < T::kSeen / 8; ++n) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& score = scores[part / 2][n][part % 2 * 2 + j];
          if (!training::visible(distance + part * 8 - n * 8 - j, reach)) score = -INFINITY;
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
          float& score = scores[part / 2][n][part % 2 * 2 + j];
          score = __expf(score - above);
          total[part] += score;
        }
      }
#pragma unroll
      for (int n = 0; n < T::kDim / 8; ++n) {
        out[part / 2][n][part % 2 * 2] *= shrink;
        out[part / 2][n][part % 2 * 2 + 1] *= shrink;
      }
    }
    training::multiply<T, T::kDim>(out, scores, keys + T::kSeenSize);
  };
  training::pass_by<T>(
      static_cast<int>((end - begin + T::kSeen - 1) / T::kSeen), queries + T::kOwnSize,
      [&](int tile, float* buffer) {
        training::request_keys<T>(args, side, kv_head, begin + tile * T::kSeen, buffer);
      },
      [&](int tile, float* buffer) {
        if (tile == 0) training::round_rows<T, T::kOwn>(queries, args.scale);
        training::round_both<T>(buffer, 1);
      },
      use);
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    const float sum = training::row_sum(total[part]);
    const std::int64_t query = first + lane.row + part * 8;
    if (query >= side.length) continue;
    training::store_row<T, false, T::kDim>(side.query(args.out, head, query), side.dim, out, part,
                                           lane.column, 1 / sum);
    if (lane.column == 0)
      args.log_sum[head * args.rows + side.begin + query] = largest[part] + logf(sum);
  }
}

template <class T>
void forward(const Args& args, cudaStream_t stream) {
  training::run<T>(forward_kernel<T>, 1, 1, args.heads, args, args, stream);
}

}  // namespace

void attention_training_forward(const DeviceAttentionTrainingArgs& args, cudaStream_t stream) {
  training::check(args);
  if (args.rows == 0) return;
  training::with_tiles(args.head_dim, [&](auto tiles) { forward<decltype(tiles)>(args, stream); });
}

}  // namespace plimsoll::kernels
