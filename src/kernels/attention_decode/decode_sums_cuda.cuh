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

/// What blocks hand over to the one that puts splits together: words in memory of which 0 means
/// "not there yet", so that nobody waits for a fence or a counter. Who takes them leaves 0 behind.
/// A sum of 0 goes as -0.
__device__ inline std::uint32_t handed(float value) {
  const std::uint32_t bits = __float_as_uint(value);
  return bits == 0 ? 0x80000000u : bits;
}

__device__ inline void hand_over(float4* to, const float4& value) {
  asm volatile("st.relaxed.gpu.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to),
               "r"(handed(value.x)), "r"(handed(value.y)), "r"(handed(value.z)),
               "r"(handed(value.w))
               : "memory");
}
__device__ inline void hand_over(Totals* to, const Totals& value) {
  asm volatile("st.relaxed.gpu.global.v2.b32 [%0], {%1, %2};" ::"l"(to), "r"(handed(value.x)),
               "r"(handed(value.y))
               : "memory");
}

__device__ inline uint4 look(const float4* from) {
  uint4 words;
  asm volatile("ld.relaxed.gpu.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "l"(from)
               : "memory");
  return words;
}

/// The words at `from`, of which `words` is a first look.
__device__ inline float4 take_over(float4* from, uint4 words) {
  while (words.x == 0 || words.y == 0 || words.z == 0 || words.w == 0) words = look(from);
  *from = {0, 0, 0, 0};
  return {__uint_as_float(words.x), __uint_as_float(words.y), __uint_as_float(words.z),
          __uint_as_float(words.w)};
}

__device__ inline Totals take_over(Totals* from) {
  std::uint32_t x = 0;
  std::uint32_t y = 0;
  while (x == 0 || y == 0) {
    asm volatile("ld.relaxed.gpu.global.v2.b32 {%0, %1}, [%2];"
                 : "=r"(x), "=r"(y)
                 : "l"(from)
                 : "memory");
  }
  *from = {0, 0};
  return {__uint_as_float(x), __uint_as_float(y)};
}

/// One query's total over `count` splits, by a warp; each one's weight goes to weights[i]. The last
/// split's is `own`.
__device__ inline float join(Totals* totals, int count, const Totals& own, float* weights,
                             int lane) {
  static_assert(kMaxSplits <= 32);
  Totals part{minus_infinity(), 0.0f};
  if (lane == count - 1) part = own;
  if (lane < count - 1) part = take_over(totals + lane);
  const float largest = cuda_device::warp_max(part.x);
  const float weight = power_of_two(part.x - largest);
  if (lane < count) weights[lane] = weight;
  return cuda_device::warp_sum(lane < count ? weight * part.y : 0);
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

/// The block of a row's and head's last split: all splits' sums. Of its own split the sums are in
/// shared memory, `own` [kQueries][stride], and totals[query]; behind them is room for a float4 of
/// each thread. The blocks of the other splits have been started before it, since they come before
/// it in the grid: it can wait for them.
__device__ inline void join_splits(const Plan& plan, const Work& work, float* own, int stride,
                                   const Totals* own_totals, int warp, int lane) {
  __shared__ float weights[kQueries][kMaxSplits];
  __shared__ float totals[kQueries];
  const std::int64_t first =
      (work.row * plan.args.heads + work.first_head(plan)) * static_cast<std::int64_t>(kMaxSplits);
  for (int query = warp; query < work.queries; query += work.warps) {
    const float total = join(plan.split_totals + first + query * kMaxSplits, work.splits,
                             own_totals[query], weights[query], lane);
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
    float4 sum{};
    if (share < shares) {
      constexpr int kTogether = 8;
      const auto part_of = [&](int split) {
        return reinterpret_cast<float4*>(
            plan.split_sums + (first + query * kMaxSplits + split) * plan.sizes.padded_dim +
            element);
      };
      const int others = work.splits - 1;
      for (int begin = share; begin < others; begin += kTogether * shares) {
        uint4 looks[kTogether];
#pragma unroll
        for (int j = 0; j < kTogether; ++j) {
          const int split = begin + j * shares;
          if (split < others) looks[j] = look(part_of(split));
        }
#pragma unroll
        for (int j = 0; j < kTogether; ++j) {
          const int split = begin + j * shares;
          if (split < others) add(sum, weights[query][split], take_over(part_of(split), looks[j]));
        }
      }
      if (others % shares == share) {
        add(sum, weights[query][others],
            *reinterpret_cast<const float4*>(own + query * stride + element));
      }
    }
    if (shares == 1) {
      if (share == 0) write_output(plan, work, query, element, sum, totals[query]);
      continue;
    }
    auto* of_shares = reinterpret_cast<float4*>(own + kQueries * stride);
    if (share < shares) of_shares[i] = sum;
    __syncthreads();  // with shares there is one turn, for all threads
    if (share == 0) {
      for (int other = 1; other < shares; ++other) add(sum, 1, of_shares[output + other * outputs]);
      write_output(plan, work, query, element, sum, totals[query]);
    }
  }
}

}  // namespace plimsoll::kernels
