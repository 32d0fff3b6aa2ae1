// The kernel:
//
//   grid    (splits, KV heads x groups of eight queries, rows). A split is 8 n blocks of 16 tokens,
//           at an absolute position; n grows with the sequence, so that there are at most 32
//   block   8 warps (4 over f32). Warp w has blocks w, w + 8, ... of the split. Keys come into one
//           slot of shared memory and values into another by asynchronous copies, each requested
//           when the one before has been used. Several blocks on a multiprocessor keep memory busy
//   end     the warps' sums are put together in shared memory, the splits' by the block of the
//   row's
//           and head's last split, both in their order
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_decode/decode_sums_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/rope/head_vector_cuda.cuh"

namespace plimsoll::kernels {

namespace {

/// Shared memory; offsets in bytes.
struct SharedLayout {
  int slot;     // of one warp's keys, as of its values
  int scratch;  // [kWarps] Operands::kScratch
  int queries;  // [kQueries][stride]
  int stride;   // elements
  int total;
};

template <KvFormat kFormat, class Ops>
SharedLayout shared_layout(const CacheSizes& sizes) {
  constexpr int kWarps = decode_warps(kFormat);
  SharedLayout at{};
  at.slot = part_slot_bytes<kFormat>(sizes.head) + (kFormat == KvFormat::int8 ? kScaleBytes : 0);
  // The sums of warps lie where keys and values were.
  const int sums = kWarps * kQueries * (sizes.padded_dim + 4) * 4;
  at.scratch = max(2 * kWarps * at.slot, sums);
  at.queries = at.scratch + kWarps * Ops::kScratch;
  at.stride = sizes.padded_dim + Ops::kQueryPad;
  at.total = at.queries + kQueries * at.stride * Ops::kQueryBytes;
  return at;
}

/// Query `index` into shared memory, rotated, in the operands' type; zero where there is none.
template <class Ops>
__device__ void prepare_query(const Plan& plan, const Work& work, const float2* angles,
                              unsigned char* to, int stride, int index, int lane) {
  HeadVector x(plan.sizes.head_dim, lane);
  unsigned char* const query = to + index * stride * Ops::kQueryBytes;
  if (index < work.queries) {
    x.load(plan.args.q + work.row * plan.args.q_stride +
           (work.first_head(plan) + index) * plan.sizes.head_dim);
    if (plan.args.k != nullptr && plan.args.frequencies != nullptr) {
      x.rotate([&](int i) { return angles[i]; });
    }
  }
  x.visit([&](int j, int i) {
    Ops::store_query(query, i, x.low[j]);
    Ops::store_query(query, i + x.half, x.high[j]);
  });
  for (int e = plan.sizes.head_dim + lane; e < plan.sizes.padded_dim; e += 32) {
    Ops::store_query(query, e, 0);
  }
}

/// The row's new key or value into the cache.
__device__ void append(const Plan& plan, const Work& work, int block, const float2* angles,
                       bool key, int lane) {
  HeadVector x(plan.sizes.head_dim, lane);
  x.load((key ? plan.args.k : plan.args.v) + work.row * plan.args.q_stride +
         work.kv_head * plan.sizes.head_dim);
  if (key && plan.args.frequencies != nullptr) x.rotate([&](int i) { return angles[i]; });
  cache_place(plan.args.kv, work.position, block, work.kv_head, key).write(x);
}

template <KvFormat kFormat, int kTiles>
__global__ void __launch_bounds__(decode_warps(kFormat) * 32, kExactTiles<kTiles> ? 2 : 1)
    decode_kernel(const __grid_constant__ Plan plan, const __grid_constant__ SharedLayout at) {
  using Ops = Operands<kFormat, kTiles>;
  constexpr int kWarps = decode_warps(kFormat);
  constexpr int kThreads = kWarps * 32;
  extern __shared__ __align__(128) unsigned char shared[];
  __shared__ float2 angles[kMaxDeviceHeadDim / 2];
  __shared__ Totals warp_totals[kQueries][kWarps];
  cuda_device::let_next_start();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const DeviceDecodeArgs& args = plan.args;
  const CacheSizes& sizes = plan.sizes;
  const auto thread = static_cast<int>(threadIdx.x);
  const bool rotates = args.k != nullptr && args.frequencies != nullptr;
  float frequency = 0;  // asked for early, like the position
  if (rotates && thread < sizes.head_dim / 2) frequency = args.frequencies[thread];
  const Work work(plan, kWarps);
  if (work.split >= work.splits) return;

  unsigned char* const keys = shared + 2 * warp * at.slot;
  unsigned char* const values = keys + at.slot;
  // int8's scales of values come with the keys: weights are multiplied with them.
  const auto request = [&](int b, bool key) {
    if (b < work.blocks) {
      const std::int64_t block = work.table[b];
      const std::int64_t scales = block * sizes.block_scales + work.kv_head * kBlockTokens;
      copy_codes(
          key ? keys : values,
          (key ? args.kv.keys : args.kv.values) + block * sizes.block + work.kv_head * sizes.head,
          sizes.head, lane);
      if (kFormat == KvFormat::int8 && key) {
        copy_scales(keys + sizes.head, args.kv.key_scales + scales, lane);
        copy_scales(keys + sizes.head + kScaleBytes, args.kv.value_scales + scales, lane);
      }
    }
    cuda_device::close_copy_group();
  };
  // What this step does not write is requested before the kernel before this one has ended. Of a
  // row's sequence there are at most as many new tokens as rows.
  const int first = work.begin_of(warp);
  const int fresh = args.k != nullptr
                        ? work.position / kBlockTokens
                        : (work.position + 1 - static_cast<int>(args.rows)) / kBlockTokens;
  const bool early = first < fresh;
  if (early) {
    request(first, true);
    request(first, false);
  }
  if (rotates) {
    static_assert(kThreads >= kMaxDeviceHeadDim / 2);
    if (thread < sizes.head_dim / 2) angles[thread] = rope_angle(work.position, frequency);
    __syncthreads();
  }
  cuda_device::wait_for_previous();
  for (int query = warp; query < kQueries; query += kWarps) {
    prepare_query<Ops>(plan, work, angles, shared + at.queries, at.stride, query, lane);
  }
  // Blocks of other queries of the same KV head write the same bits.
  if (args.k != nullptr && work.split == work.splits - 1 && warp < 2) {
    append(plan, work, work.table[work.position / kBlockTokens], angles, warp == 0, lane);
  }
  __syncthreads();
  if (!early) {
    request(first, true);
    request(first, false);
  }

  Ops ops(sizes, shared + at.scratch + warp * Ops::kScratch, lane);
  ops.load_queries(shared + at.queries, at.stride);
  Sums<kTiles> sums;
  for (int b = first; b < work.blocks; b += kWarps) {
    const int seen = max(work.begin - b * kBlockTokens, 0);
    const int held = min(work.position + 1 - b * kBlockTokens, kBlockTokens);
    float s[4] = {};
    cuda_device::wait_for_copies<1>();
    __syncwarp();
    ops.score(keys, s);
    const auto* scales = reinterpret_cast<const float*>(keys + sizes.head);
    weigh<kFormat>(sums, s, plan.factor, scales, scales + kBlockTokens, seen, held, sizes.tiles,
                   lane);
    __syncwarp();
    request(b + kWarps, true);
    cuda_device::wait_for_copies<1>();
    __syncwarp();
    ops.mix(values, s, seen, held, sums.o);
    __syncwarp();
    request(b + kWarps, false);
  }

  // The warps' sums.
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    sums.total[j] = sum_of_groups(sums.total[j]);
    if (lane < 4) warp_totals[lane * 2 + j][warp] = {sums.largest[j], sums.total[j]};
  }
  const int stride = sizes.padded_dim + 4;  // no two lanes meet in a bank
  auto* of_warps = reinterpret_cast<float*>(shared);
  __syncthreads();
  float* own = of_warps + (warp * kQueries + lane % 4 * 2) * stride + lane / 4;
  const float unit = kFormat == KvFormat::int8 ? sums.unit : 1;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    if (!kExactTiles<kTiles> && tile >= sizes.tiles) break;
    own[tile * 16] = sums.o[tile][0] * unit;
    own[tile * 16 + stride] = sums.o[tile][1] * unit;
    own[tile * 16 + 8] = sums.o[tile][2] * unit;
    own[tile * 16 + 8 + stride] = sums.o[tile][3] * unit;
  }
  __shared__ float warp_weights[kQueries][kWarps];
  __shared__ Totals totals[kQueries];
  // Eight lanes a query, of which kWarps have a part.
  for (int query = warp * 4 + lane / 8; query < kQueries; query += kWarps * 4) {
    const int part = lane % 8;
    const Totals own_total =
        part < kWarps ? warp_totals[query][part] : Totals{minus_infinity(), 0.0f};
    float largest = own_total.x;
    for (int i = 1; i < 8; i *= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, i));
    const float weight = own_total.x == minus_infinity() ? 0 : power_of_two(own_total.x - largest);
    float total = weight * own_total.y;
    for (int i = 1; i < 8; i *= 2) total += __shfl_xor_sync(0xffffffffu, total, i);
    if (part < kWarps) warp_weights[query][part] = weight;
    if (part == 0) totals[query] = {largest, total};
  }
  __syncthreads();
  const int quads = sizes.padded_dim / 4;
  const bool joins = work.split == work.splits - 1;
  const std::int64_t split_of_first =
      (work.row * args.heads + work.first_head(plan)) * static_cast<std::int64_t>(kMaxSplits) +
      work.split;
  for (int i = static_cast<int>(threadIdx.x); i < work.queries * quads; i += kThreads) {
    const int query = i / quads;
    const int element = i % quads * 4;
    float4 sum{};
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      add(sum, warp_weights[query][w],
          *reinterpret_cast<const float4*>(of_warps + (w * kQueries + query) * stride + element));
    }
    if (work.splits == 1) {
      write_output(plan, work, query, element, sum, totals[query].y);
    } else if (joins) {
      // Where the first warp's were, which no other thread reads.
      *reinterpret_cast<float4*>(of_warps + query * stride + element) = sum;
    } else {
      const std::int64_t split = split_of_first + query * kMaxSplits;
      if (element == 0) hand_over(plan.split_totals + split, totals[query]);
      hand_over(reinterpret_cast<float4*>(plan.split_sums + split * sizes.padded_dim + element),
                sum);
    }
  }
  if (work.splits == 1 || !joins) return;
  __syncthreads();
  join_splits(plan, work, of_warps, stride, totals, warp, lane);
}

/// The most splits that a row can have.
unsigned most_splits(const DeviceDecodeArgs& args, int warps) {
  const std::int64_t tokens = warps * kBlockTokens;
  std::int64_t splits = (args.max_length + tokens - 1) / tokens;
  if (args.window > 0) {
    const std::int64_t of_window = (args.window + tokens - 1) / tokens + 1;
    splits = splits < of_window ? splits : of_window;
  }
  return static_cast<unsigned>(splits < kMaxSplits ? splits : kMaxSplits);
}

template <KvFormat kFormat>
void run(const Plan& plan, cudaStream_t stream) {
  with_tiles(plan.sizes.tiles, [&](auto tiles) {
    constexpr auto kKernel = decode_kernel<kFormat, tiles()>;
    const SharedLayout at = shared_layout<kFormat, Operands<kFormat, tiles()>>(plan.sizes);
    allow_shared(kKernel, static_cast<std::size_t>(at.total));
    const DeviceDecodeArgs& args = plan.args;
    constexpr int kWarps = decode_warps(kFormat);
    const dim3 grid(most_splits(args, kWarps),
                    static_cast<unsigned>(args.kv.layout.kv_heads * plan.groups),
                    static_cast<unsigned>(args.rows));
    launch(kKernel, {grid, dim3(kWarps * 32), static_cast<std::size_t>(at.total), args.dependent},
           stream, plan, at);
  });
}

template <KvFormat kFormat>
int shared_bytes(const CacheSizes& sizes) {
  int bytes = 0;
  with_tiles(sizes.tiles, [&](auto tiles) {
    bytes = shared_layout<kFormat, Operands<kFormat, tiles()>>(sizes).total;
  });
  return bytes;
}

}  // namespace

std::size_t attention_decode_shared(const kv::KvLayout& layout) {
  const CacheSizes sizes(layout);
  switch (layout.format) {
    case KvFormat::f32:
      return static_cast<std::size_t>(shared_bytes<KvFormat::f32>(sizes));
    case KvFormat::bf16:
      return static_cast<std::size_t>(shared_bytes<KvFormat::bf16>(sizes));
    case KvFormat::fp16:
      return static_cast<std::size_t>(shared_bytes<KvFormat::fp16>(sizes));
    case KvFormat::int8:
      return static_cast<std::size_t>(shared_bytes<KvFormat::int8>(sizes));
  }
  return 0;
}

std::size_t attention_decode_scratch(std::int64_t rows, std::int64_t heads, std::int64_t head_dim) {
  const auto splits = static_cast<std::size_t>(rows * heads * kMaxSplits);
  const auto padded = static_cast<std::size_t>((head_dim + 15) / 16 * 16);
  return splits * (sizeof(Totals) + padded * sizeof(float));
}

void attention_decode(const DeviceDecodeArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const kv::KvLayout& layout = args.kv.layout;
  const bool possible = layout.head_dim % 8 == 0 && layout.head_dim <= kMaxDeviceHeadDim &&
                        args.heads % layout.kv_heads == 0 && args.scale > 0 &&
                        args.q_stride % 4 == 0 && args.max_length > 0;
  PLIMSOLL_CUDA_CHECK(possible ? cudaSuccess : cudaErrorInvalidValue);
  Plan plan;
  plan.args = args;
  plan.sizes = CacheSizes(layout);
  plan.group = static_cast<int>(args.heads / layout.kv_heads);
  plan.groups = (plan.group + kQueries - 1) / kQueries;
  plan.factor = args.scale * 1.44269504088896341f;
  plan.split_totals = reinterpret_cast<Totals*>(args.scratch);
  plan.split_sums =
      reinterpret_cast<float*>(plan.split_totals + args.rows * args.heads * kMaxSplits);
  switch (layout.format) {
    case KvFormat::f32:
      return run<KvFormat::f32>(plan, stream);
    case KvFormat::bf16:
      return run<KvFormat::bf16>(plan, stream);
    case KvFormat::fp16:
      return run<KvFormat::fp16>(plan, stream);
    case KvFormat::int8:
      return run<KvFormat::int8>(plan, stream);
  }
}

}  // namespace plimsoll::kernels
