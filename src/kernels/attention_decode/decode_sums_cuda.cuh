// Softmax over the keys of a warp, as they come, and the putting together of warps and splits.
#pragma once

#include "kernels/attention_decode/decode_plan_cuda.cuh"

namespace plimsoll::kernels {

/// What a warp has summed.
template <int kTiles>
struct Sums {
  float largest[2];  // of queries 2 t, 2 t + 1
  float total[2];    // of this lane's tokens
  float unit = 0;    // int8: o is in units of the largest value scale so far
  float o[kTiles][4];

  __device__ Sums() : largest{minus_infinity(), minus_infinity()}, total{}, o{} {}

  __device__ void scale(int tiles, float first, float second) {
    if (__all_sync(0xffffffffu, first == 1 && second == 1)) return;
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      if (!kExactTiles<kTiles> && tile >= tiles) break;
      o[tile][0] *= first;
      o[tile][1] *= second;
      o[tile][2] *= first;
      o[tile][3] *= second;
    }
  }
};

/// Scores become weights of the softmax so far. seen, held: the tokens [seen, held) of the block
/// are seen; scales: int8's, of the block's 16 keys and 16 values.
template <KvFormat kFormat, int kTiles>
__device__ void weigh(Sums<kTiles>& sums, float (&s)[4], float factor, const float* key_scales,
                      const float* value_scales, int seen, int held, int tiles, int lane) {
  constexpr bool kScaled = kFormat == KvFormat::int8;
  float value_scale[2] = {};
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int token = lane / 4 + 8 * half;
    const bool visible = token >= seen && token < held;
    const float scale = kScaled ? key_scales[token] * factor : factor;
    if (kScaled && visible) value_scale[half] = value_scales[token];
    s[2 * half] = visible ? s[2 * half] * scale : minus_infinity();
    s[2 * half + 1] = visible ? s[2 * half + 1] * scale : minus_infinity();
  }
  float shrink[2];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    const float largest = fmaxf(sums.largest[j], max_of_groups(fmaxf(s[j], s[j + 2])));
    shrink[j] = power_of_two(sums.largest[j] - largest);
    sums.largest[j] = largest;
    s[j] = power_of_two(s[j] - largest);
    s[j + 2] = power_of_two(s[j + 2] - largest);
    sums.total[j] = sums.total[j] * shrink[j] + s[j] + s[j + 2];
  }
  if constexpr (kScaled) {
    // Weights times scales are rounded to f16: in units of the largest scale they lose nothing by
    // being small.
    const float unit = fmaxf(sums.unit, max_of_groups(fmaxf(value_scale[0], value_scale[1])));
    const float inverse = unit > 0 ? 1 / unit : 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      shrink[j] *= unit > 0 ? sums.unit * inverse : 1;
      s[j] *= value_scale[0] * inverse;
      s[j + 2] *= value_scale[1] * inverse;
    }
    sums.unit = unit;
  }
  sums.scale(tiles, shrink[0], shrink[1]);
}

/// One query's total over `count` parts, by a warp; each part's weight goes to weights[i].
__device__ inline float join(const Totals* totals, int count, float* weights, int lane) {
  float largest = minus_infinity();
  for (int i = lane; i < count; i += 32) largest = fmaxf(largest, __ldcg(&totals[i].x));
  largest = cuda_device::warp_max(largest);
  float total = 0;
  for (int i = lane; i < count; i += 32) {
    const float2 part = __ldcg(&totals[i]);
    const float weight = power_of_two(part.x - largest);
    weights[i] = weight;
    total += weight * part.y;
  }
  return cuda_device::warp_sum(total);
}

__device__ inline void add(float4& sum, float weight, const float4& more) {
  sum.x = fmaf(weight, more.x, sum.x);
  sum.y = fmaf(weight, more.y, sum.y);
  sum.z = fmaf(weight, more.z, sum.z);
  sum.w = fmaf(weight, more.w, sum.w);
}

__device__ inline void write_output(const Plan& plan, const Work& work, int query, int element,
                                    const float4& sum, float total) {
  if (element >= plan.sizes.head_dim) return;
  const std::int64_t head = work.row * plan.args.heads + work.first_head(plan) + query;
  *reinterpret_cast<float4*>(plan.args.out + head * plan.sizes.head_dim + element) = {
      sum.x / total, sum.y / total, sum.z / total, sum.w / total};
}

/// The last block of a row and head: all splits' sums.
__device__ inline void join_splits(const Plan& plan, const Work& work, float* scratch, int warp,
                                   int lane) {
  __shared__ float weights[kQueries][kMaxSplits];
  __shared__ float totals[kQueries];
  const std::int64_t first =
      (work.row * plan.args.heads + work.first_head(plan)) * static_cast<std::int64_t>(kMaxSplits);
  for (int query = warp; query < work.queries; query += work.warps) {
    const float total =
        join(plan.split_totals + first + query * kMaxSplits, work.splits, weights[query], lane);
    if (lane == 0) totals[query] = total;
  }
  __syncthreads();
  const int threads = work.warps * 32;
  // A thread has four elements of a query; where that leaves threads over, they share the splits.
  const int quads = plan.sizes.padded_dim / 4;
  const int outputs = work.queries * quads;
  const int shares = max(threads / outputs, 1);
  const int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < max(outputs, threads); i += threads) {
    const int output = i % outputs;
    const int share = i / outputs;
    const int query = output / quads;
    const int element = output % quads * 4;
    const float* parts = plan.split_sums + (first + query * kMaxSplits) * plan.sizes.padded_dim;
    float4 sum{};
    if (share < shares) {
#pragma unroll 16
      for (int split = share; split < work.splits; split += shares) {
        add(sum, weights[query][split],
            __ldcg(
                reinterpret_cast<const float4*>(parts + split * plan.sizes.padded_dim + element)));
      }
    }
    if (shares == 1) {
      if (share == 0) write_output(plan, work, query, element, sum, totals[query]);
      continue;
    }
    auto* of_shares = reinterpret_cast<float4*>(scratch);
    if (share < shares) of_shares[i] = sum;
    __syncthreads();  // with shares there is one turn, for all threads
    if (share == 0) {
      for (int other = 1; other < shares; ++other) add(sum, 1, of_shares[output + other * outputs]);
      write_output(plan, work, query, element, sum, totals[query]);
    }
  }
}

}  // namespace plimsoll::kernels
