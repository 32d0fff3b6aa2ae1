// FlashAttention-3's forward (arXiv:2407.08608) for sm_90a, over the paged cache in 16 bits:
//
//   work    a head's 128 rows of a sequence, an item. A block a multiprocessor takes one after the
//           other, those of many keys first, and back and forth, so that all get as much in sum
//   block   three warpgroups. The first fetches: a warp has the copy engine bring tiles of 128
//           tokens, eight blocks of the cache, keys and values into two slots each; the others
//           bring the next item's queries into 16 bits. The other two compute, 64 rows each: a
//           tile's scores are multiplied beside the sums of the tile before, and the softmax runs
//           beside what of these is left and the other warpgroup's products
//   shared  queries [slot][row / 8][element / 8], keys and values [slot][token / 8][element / 8]
//           of matrices [8][8]: the cache's own order (kv/device_kv_cuda.h), taken as it is
#pragma once

#include "kernels/attention_prefill/prefill_items_cuda.cuh"
#include "kernels/cuda/hopper_cuda.cuh"

namespace plimsoll::kernels::flash3 {

namespace hopper = cuda_device::hopper;

inline constexpr int kThreads = 384;
inline constexpr int kComputing = 256;  // threads
inline constexpr int kComputingWarps = kComputing / 32;
inline constexpr int kQueryWarps = 3;
inline constexpr int kSlots = 2;
inline constexpr int kTileBlocks = kTokens / kBlockTokens;

template <int kDim>
struct Shared {
  static constexpr int kPart = kTokens * kDim * 2;  // bytes of a tile's keys
  static constexpr int kQueries = kRows * kDim * 2;
  alignas(128) unsigned char queries[kSlots][kQueries];
  alignas(128) unsigned char keys[kSlots][kPart];
  alignas(128) unsigned char values[kSlots][kPart];
  hopper::Barrier queries_full[kSlots], queries_free[kSlots];
  hopper::Barrier keys_full[kSlots], keys_free[kSlots];
  hopper::Barrier values_full[kSlots], values_free[kSlots];
  hopper::Barrier patch;  // values that the fetching warp itself waits for
};

/// Which slot of a ring, and the parity of its barriers' phase.
struct Turn {
  int slot = 0;
  int parity = 0;
  __device__ void next() {
    slot ^= 1;
    parity ^= slot == 0;
  }
};
static_assert(kSlots == 2);

/// The warp that keeps keys and values coming.
template <int kDim>
__device__ void fetch(const PrefillPlan& plan, const Spans& spans, Shared<kDim>& shared, int lane) {
  const CacheSizes& sizes = plan.sizes;
  Turn turn;
  int patches = 0;
  for (Items items(plan, spans); items.more();) {
    const Item item = items.take();
    const std::int32_t* const table = table_of(plan.args.kv, item.begin);
    for (int t = item.first_tile; t < item.tiles; ++t, turn.next()) {
      // A lane a block; what a window has passed may have gone from the table.
      const int token = (t * kTileBlocks + lane) * kBlockTokens;
      const bool there =
          lane < kTileBlocks && token + kBlockTokens > item.seen_from && token < item.held;
      const std::int64_t block = there ? table[token / kBlockTokens] : 0;
      const std::int64_t from = block * sizes.block + item.kv_head * sizes.head;
      const int bytes = __popc(__ballot_sync(0xffffffffu, there)) * sizes.head;
      const auto request = [&](unsigned char* to, const std::byte* part, hopper::Barrier& full) {
        if (lane == 0) full.arrive_and_expect(bytes);
        __syncwarp();
        if (there) hopper::copy_bulk(to + lane * sizes.head, part + from, sizes.head, full);
      };
      shared.keys_free[turn.slot].wait(turn.parity ^ 1);
      request(shared.keys[turn.slot], plan.args.kv.keys, shared.keys_full[turn.slot]);
      shared.values_free[turn.slot].wait(turn.parity ^ 1);
      unsigned char* const values = shared.values[turn.slot];
      hopper::Barrier& full = shared.values_full[turn.slot];
      const int first = t * kTokens;
      if (first >= item.seen_from && first + kTokens <= item.held) {
        request(values, plan.args.kv.values, full);
        continue;
      }
      // Values of tokens that nobody may have written become zeros: a weight of zero would not
      // undo a NaN.
      request(values, plan.args.kv.values, shared.patch);
      shared.patch.wait(patches++ & 1);
      for (int i = lane; i < kTokens; i += 32) {
        if (first + i >= item.seen_from && first + i < item.held) continue;
        for (int e = 0; e < kDim / 8; ++e) {
          reinterpret_cast<uint4*>(values)[(i / 8 * (kDim / 8) + e) * 8 + i % 8] = {};
        }
      }
      hopper::fence_shared();
      __syncwarp();
      if (lane == 0) full.arrive();
    }
  }
}

/// An item's queries into 16 bits, by `kBy` threads.
template <KvFormat kFormat, int kDim, int kBy, int kAtOnce>
__device__ void convert_queries(const PrefillPlan& plan, const Item& item, unsigned char* queries,
                                int thread) {
  auto* const to = reinterpret_cast<uint4*>(queries);
  const float* const q = plan.args.q + item.begin * plan.args.q_stride +
                         static_cast<std::int64_t>(item.head) * plan.sizes.head_dim;
#pragma unroll kAtOnce
  for (int i = thread; i < kRows * kDim / 8; i += kBy) {
    // [row / 8][element / 8][row % 8][8 elements]
    const int row = i / kDim * 8 + i % 8;
    const int element = i % kDim / 8 * 8;
    float4 low{}, high{};
    if (row < item.rows && element < plan.sizes.head_dim) {
      const auto* at = reinterpret_cast<const float4*>(q + row * plan.args.q_stride + element);
      low = at[0];
      high = at[1];
    }
    to[i] = {pack16<kFormat>(low.x, low.y), pack16<kFormat>(low.z, low.w),
             pack16<kFormat>(high.x, high.y), pack16<kFormat>(high.z, high.w)};
  }
  hopper::fence_shared();
}

/// The warps that have queries ready, but for the first item's: those that compute have nothing
/// else to do yet. thread: of theirs.
template <KvFormat kFormat, int kDim>
__device__ void prepare(const PrefillPlan& plan, const Spans& spans, Shared<kDim>& shared,
                        int thread) {
  Turn turn;
  bool first = true;
  for (Items items(plan, spans); items.more(); first = false, turn.next()) {
    const Item item = items.take();
    if (!first) {
      shared.queries_free[turn.slot].wait(turn.parity ^ 1);
      convert_queries<kFormat, kDim, kQueryWarps * 32, 4>(plan, item, shared.queries[turn.slot],
                                                          thread);
    }
    __syncwarp();
    if (thread % 32 == 0) shared.queries_full[turn.slot].arrive();
  }
}

/// A computing warpgroup's softmax and sums of an item; a lane has rows g and g + 8 of its
/// warp's 16.
template <KvFormat kFormat, int kDim>
struct Rows {
  float largest[2] = {minus_infinity(), minus_infinity()};  // score, before the softmax's scale
  float total[2] = {};                                      // of this lane's tokens
  float shrink[2];
  float o[kDim / 2] = {};
  std::uint32_t p[kTokens / 4];  // weights as operand A

  /// Scores become weights of the softmax so far, which `shrink` makes comparable to the new ones.
  __device__ void weigh(float (&s)[kTokens / 2], float factor) {
    float high[2] = {largest[0], largest[1]};
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) high[i / 2 % 2] = fmaxf(high[i / 2 % 2], s[i]);
    float base[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      high[i] = fmaxf(high[i], __shfl_xor_sync(0xffffffffu, high[i], 1));
      high[i] = fmaxf(high[i], __shfl_xor_sync(0xffffffffu, high[i], 2));
      // No key seen yet: nothing to shrink, all weights are 2^-inf = 0.
      const float finite = high[i] == minus_infinity() ? 0 : high[i];
      shrink[i] = power_of_two((largest[i] - finite) * factor);
      largest[i] = high[i];
      base[i] = -finite * factor;
      total[i] *= shrink[i];
    }
    float sums[2][2] = {};
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) {
      s[i] = power_of_two(fmaf(s[i], factor, base[i / 2 % 2]));
      sums[i / 2 % 2][i % 2] += s[i];
    }
    total[0] += sums[0][0] + sums[0][1];
    total[1] += sums[1][0] + sums[1][1];
  }

  /// Keys [position - window + 1, position] are seen (window 0: [0, position]); position: of row g.
  __device__ static void mask(float (&s)[kTokens / 2], int position, int window, int first_token) {
#pragma unroll
    for (int i = 0; i < kTokens / 2; ++i) {
      const int row = position + i / 2 % 2 * 8;
      const int token = first_token + i / 4 * 8 + i % 2;
      if (token > row || (window > 0 && token <= row - window)) s[i] = minus_infinity();
    }
  }

  __device__ void pack(const float (&s)[kTokens / 2]) {
#pragma unroll
    for (int i = 0; i < kTokens / 4; ++i) p[i] = pack16<kFormat>(s[2 * i], s[2 * i + 1]);
  }

  __device__ void shrink_sums() {
#pragma unroll
    for (int i = 0; i < kDim / 2; ++i) o[i] *= shrink[i / 2 % 2];
  }

  /// to: row 0's output of the warp's 16; rows from `rows` on are not written.
  __device__ void write(float* to, std::int64_t stride, int rows, int head_dim, int lane) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      total[i] += __shfl_xor_sync(0xffffffffu, total[i], 1);
      total[i] += __shfl_xor_sync(0xffffffffu, total[i], 2);
      const float inverse = 1 / total[i];
      const int row = lane / 4 + 8 * i;
      if (row >= rows) continue;
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        const int column = n * 8 + lane % 4 * 2;
        if (column >= head_dim) break;
        *reinterpret_cast<float2*>(to + row * stride + column) = {o[4 * n + 2 * i] * inverse,
                                                                  o[4 * n + 2 * i + 1] * inverse};
      }
    }
  }
};

/// A computing warpgroup: `group` 0 or 1, with rows [64 group, 64 group + 64) of every item.
template <KvFormat kFormat, int kDim>
__device__ void compute(const PrefillPlan& plan, const Spans& spans, Shared<kDim>& shared,
                        int group) {
  constexpr bool kBf16 = kFormat == KvFormat::bf16;
  constexpr int kRowBytes = kDim * 16;  // eight rows of core matrices
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32 % 4;
  const auto window = static_cast<int>(plan.args.window);
  const auto release = [&](hopper::Barrier& barrier) {
    if (lane == 0) barrier.arrive();
  };
  Turn query, key, value;
  float s[kTokens / 2];
  const auto score = [&] {
    const std::uint64_t a =
        hopper::operand(shared.queries[query.slot] + group * 64 * kDim * 2, 128, kRowBytes);
    const std::uint64_t b = hopper::operand(shared.keys[key.slot], 128, kRowBytes);
    hopper::products_begin();
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
      hopper::product<kBf16>(s, hopper::advanced(a, k * 256), hopper::advanced(b, k * 256), k > 0);
    }
    hopper::products_commit();
  };
  // Scores have been waited for.
  const auto release_keys = [&] {
    hopper::hold(s);
    release(shared.keys_free[key.slot]);
    key.next();
  };
  const int warp_row = group * 64 + warp * 16;
  const std::int64_t width = plan.args.heads * plan.sizes.head_dim;

  Items items(plan, spans);
  Item item = items.take();
  convert_queries<kFormat, kDim, kComputing, 8>(plan, item, shared.queries[query.slot],
                                                static_cast<int>(threadIdx.x) - 128);
  hopper::sync_named(1, kComputing);
  shared.queries_full[query.slot].wait(query.parity);
  shared.keys_full[key.slot].wait(key.parity);
  score();
  // The scores of an item's first tile are under way.
  for (bool more = true; more;) {
    Rows<kFormat, kDim> rows;
    const int position = item.position + warp_row + lane / 4;
    const auto weigh = [&](int t) {
      const int first = t * kTokens;
      const int low = item.position + group * 64;
      if (first + kTokens - 1 > low || (window > 0 && first <= low + 63 - window)) {
        rows.mask(s, position, window, first + lane % 4 * 2);
      }
      rows.weigh(s, plan.factor);
    };
    const auto mix = [&] {
      const std::uint64_t b = hopper::operand(shared.values[value.slot], kRowBytes, 128);
      hopper::products_begin();
#pragma unroll
      for (int k = 0; k < kTokens / 16; ++k) {
        hopper::product<kBf16>(rows.o, rows.p + 4 * k, hopper::advanced(b, k * 2 * kRowBytes));
      }
      hopper::products_commit();
    };
    const auto release_values = [&] {
      hopper::hold(rows.o);
      release(shared.values_free[value.slot]);
      value.next();
    };
    hopper::products_wait<0>();
    release_keys();
    weigh(item.first_tile);
    rows.pack(s);
    for (int t = item.first_tile + 1; t < item.tiles; ++t) {
      shared.keys_full[key.slot].wait(key.parity);
      score();
      shared.values_full[value.slot].wait(value.parity);
      mix();
      hopper::products_wait<1>();
      release_keys();
      weigh(t);
      hopper::products_wait<0>();
      release_values();
      rows.pack(s);
      rows.shrink_sums();
    }
    release(shared.queries_free[query.slot]);
    query.next();
    shared.values_full[value.slot].wait(value.parity);
    mix();
    // The next item's scores beside the last of these sums and their way to memory. Behind the
    // last item they are of what lies there, and not used: in a branch ptxas would make all
    // products wait for each other.
    const Item done = item;
    more = items.more();
    if (more) {
      item = items.take();
      shared.queries_full[query.slot].wait(query.parity);
      shared.keys_full[key.slot].wait(key.parity);
    }
    score();
    hopper::products_wait<1>();
    release_values();
    rows.write(plan.args.out + (done.begin + warp_row) * width +
                   static_cast<std::int64_t>(done.head) * plan.sizes.head_dim,
               width, done.rows - warp_row, plan.sizes.head_dim, lane);
  }
  hopper::products_wait<0>();
}

template <KvFormat kFormat, int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    prefill_kernel(const __grid_constant__ PrefillPlan plan, const __grid_constant__ Spans spans) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  extern __shared__ __align__(128) unsigned char bytes[];
  auto& shared = *reinterpret_cast<Shared<kDim>*>(bytes);
  const auto thread = static_cast<int>(threadIdx.x);
  cuda_device::let_next_start();
  if (thread == 0) {
    for (int i = 0; i < kSlots; ++i) {
      shared.queries_full[i].init(kQueryWarps);
      shared.queries_free[i].init(kComputingWarps);
      shared.keys_full[i].init(1);
      shared.keys_free[i].init(kComputingWarps);
      shared.values_full[i].init(1);
      shared.values_free[i].init(kComputingWarps);
    }
    shared.patch.init(1);
    hopper::fence_barriers();
  }
  cuda_device::wait_for_previous();
  __syncthreads();
  if (thread < 128) {
    hopper::give_registers<56>();
    if (thread < 32) {
      fetch<kDim>(plan, spans, shared, thread);
    } else {
      prepare<kFormat, kDim>(plan, spans, shared, thread - 32);
    }
  } else {
    hopper::take_registers<224>();
    compute<kFormat, kDim>(plan, spans, shared, thread / 128 - 1);
  }
#endif
}

}  // namespace plimsoll::kernels::flash3
