// The kernel:
//
//   grid    (query heads, groups of 64 rows, the last rows first: they see the most keys)
//   block   4 warps of 16 rows each. Keys and values come in tiles of 64 tokens, four blocks of the
//           cache, into two slots of shared memory: one is filled while the other is used
#include "kernels/attention_prefill/attention_prefill_cuda.h"

#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_prefill/prefill_rows_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

using namespace prefill;

template <KvFormat kFormat, int kTiles>
__global__ void __launch_bounds__(kThreads, kExactTiles<kTiles> ? 2 : 1)
    prefill_kernel(const __grid_constant__ SpanPlan plan) {
  extern __shared__ __align__(128) unsigned char shared[];
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const DevicePrefillArgs& args = plan.args;
  const CacheSizes& sizes = plan.sizes;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int head = static_cast<int>(blockIdx.x);
  const int kv_head = head / plan.group;
  const int first_row = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kRows;
  const int rows = min(static_cast<int>(plan.span.rows) - first_row, kRows);
  const std::int64_t begin = plan.span.begin + first_row;
  const int position = args.kv.positions[begin];
  const int last = position + rows - 1;
  const auto window = static_cast<int>(args.window);
  // Tiles begin at multiples of their size, so that a row's sums do not depend on where its group
  // began; those that it does not see add nothing.
  const int seen_from = window > 0 ? max(position - window + 1, 0) : 0;
  const int seen = seen_from / kBlockTokens;
  const int first_tile = seen / kTileBlocks;
  const int tiles = last / kTileTokens + 1;
  const std::int32_t* const table = table_of(args.kv, static_cast<int>(begin));

  // [slot][keys, values][block]
  const auto part_at = [&](int tile, int values) {
    return shared + ((tile % 2 * 2 + values) * kTileBlocks) * plan.slot;
  };
  const auto blocks_of = [&](int tile) {
    return Blocks{max(seen - tile * kTileBlocks, 0),
                  min(kTileBlocks, last / kBlockTokens + 1 - tile * kTileBlocks)};
  };
  const auto request = [&](int tile) {
    // A warp a block; those that a window has passed may have gone from the table.
    const int b = warp;
    if (tile < tiles && blocks_of(tile).has(b)) {
      const std::int64_t block = table[tile * kTileBlocks + b];
      const std::int64_t from = block * sizes.block + kv_head * sizes.head;
      const std::int64_t scales = block * sizes.block_scales + kv_head * kBlockTokens;
      unsigned char* const keys = part_at(tile, 0) + b * plan.slot;
      unsigned char* const values = part_at(tile, 1) + b * plan.slot;
      copy_codes(keys, args.kv.keys + from, sizes.head, lane);
      copy_codes(values, args.kv.values + from, sizes.head, lane);
      if constexpr (kFormat == KvFormat::int8) {
        copy_scales(keys + sizes.head, args.kv.key_scales + scales, lane);
        copy_scales(values + sizes.head, args.kv.value_scales + scales, lane);
      }
    }
    cuda_device::close_copy_group();
  };
  request(first_tile);

  const int warp_row = warp * 16;
  const float* q = args.q + (begin + warp_row) * args.q_stride + head * sizes.head_dim;
  const int warp_rows = rows - warp_row;
  // Many registers' worth of queries lie in shared memory instead.
  constexpr bool kKeep = kExactTiles<kTiles>;
  uint4 kept[kKeep ? kTiles : 1];
  auto* stored = reinterpret_cast<uint4*>(shared + 4 * kTileBlocks * plan.slot) +
                 warp * sizes.tiles * 32 + lane;
#pragma unroll
  for (int tile = 0; tile < kTiles; ++tile) {
    if (!kExactTiles<kTiles> && tile >= sizes.tiles) break;
    const uint4 a = load_queries<kFormat>(q, args.q_stride, warp_rows, tile, sizes.head_dim, lane);
    if constexpr (kKeep) {
      kept[tile] = a;
    } else {
      stored[tile * 32] = a;
    }
  }

  Rows<kFormat, kTiles> sums(sizes.tiles, lane, seen_from, last);
  // kWhole: no branch within, so that loads and products are scheduled across blocks.
  const auto add_tile = [&](int t, auto whole) {
    constexpr bool kWhole = decltype(whole)::value;
    const unsigned char* const keys = part_at(t, 0);
    const unsigned char* const values = part_at(t, 1);
    const Blocks blocks = blocks_of(t);
    float s[2 * kTileBlocks][4] = {};
#pragma unroll
    for (int tile = 0; tile < kTiles; ++tile) {
      if (!kExactTiles<kTiles> && tile >= sizes.tiles) break;
      uint4 a;
      if constexpr (kKeep) {
        a = kept[tile];
      } else {
        a = stored[tile * 32];
      }
#pragma unroll
      for (int b = 0; b < kTileBlocks; ++b) {
        if (!kWhole && !blocks.has(b)) continue;
        const uint4 k = key_operand<kFormat>(keys + b * plan.slot, sizes.tiles, tile, lane);
        mma16<kFormat>(s[2 * b], a, k.x, k.z);
        mma16<kFormat>(s[2 * b + 1], a, k.y, k.w);
      }
    }
    sums.template weigh<kWhole>(s, plan, position + warp_row + lane / 4, t * kTileTokens, blocks,
                                keys, values);
    sums.template mix<kWhole>(s, values, plan.slot, t * kTileTokens, blocks);
  };
  for (int t = first_tile; t < tiles; ++t) {
    request(t + 1);
    cuda_device::wait_for_copies<1>();
    __syncthreads();
    const bool whole = (t + 1) * kTileTokens - 1 <= position &&
                       (window == 0 || t * kTileTokens > position + kRows - 1 - window);
    if (whole) {
      add_tile(t, std::true_type{});
    } else {
      add_tile(t, std::false_type{});
    }
    __syncthreads();
  }
  sums.write(args.out + ((begin + warp_row) * args.heads + head) * sizes.head_dim,
             args.heads * sizes.head_dim, warp_rows, sizes.head_dim);
}

/// Keys and values of two tiles, and queries where they have no room in registers.
template <KvFormat kFormat, int kTiles>
std::size_t shared_bytes(const CacheSizes& sizes) {
  const int stored = kExactTiles<kTiles> ? 0 : kWarps * sizes.tiles * 512;
  return static_cast<std::size_t>(4 * kTileBlocks * part_slot_bytes<kFormat>(sizes.head) + stored);
}

template <KvFormat kFormat>
void run(const PrefillPlan& of, cudaStream_t stream) {
  SpanPlan plan(of);
  plan.slot = part_slot_bytes<kFormat>(plan.sizes.head);
  with_tiles(plan.sizes.tiles, [&](auto tiles) {
    constexpr auto kKernel = prefill_kernel<kFormat, tiles()>;
    const std::size_t bytes = shared_bytes<kFormat, tiles()>(plan.sizes);
    allow_shared(kKernel, bytes);
    for (const PrefillSpan& span : plan.args.spans) {
      if (span.rows == 0) continue;
      plan.span = span;
      const dim3 grid(static_cast<unsigned>(plan.args.heads),
                      static_cast<unsigned>((span.rows + kRows - 1) / kRows));
      launch(kKernel, {grid, dim3(kThreads), bytes, plan.args.dependent}, stream, plan);
    }
  });
}

/// Rows as of a decoding step: over f32, where there are no tensor cores to win by, and where their
/// bits are to be those.
void run_as_decode(const DevicePrefillArgs& args, cudaStream_t stream) {
  DeviceDecodeArgs decode;
  decode.q_stride = args.q_stride;
  decode.heads = args.heads;
  decode.scale = args.scale;
  decode.window = args.window;
  decode.max_length = args.max_length;
  decode.scratch = args.scratch;
  // What may be read before the kernel before has ended is not known here.
  decode.dependent = false;
  for (const PrefillSpan& span : args.spans) {
    for (std::int64_t row = span.begin; row < span.begin + span.rows; row += kPrefillScratchRows) {
      const std::int64_t left = span.begin + span.rows - row;
      decode.rows = left < kPrefillScratchRows ? left : kPrefillScratchRows;
      decode.q = args.q + row * args.q_stride;
      decode.out = args.out + row * args.heads * args.kv.layout.head_dim;
      decode.kv = args.kv;
      decode.kv.positions += row;
      if (args.kv.sequences != nullptr) {
        decode.kv.sequences += row;
      } else {
        decode.kv.tables += row * args.kv.table_stride;
      }
      attention_decode(decode, stream);
    }
  }
}

}  // namespace

PrefillChoice choose_prefill(const kv::KvLayout& layout, bool as_decode) {
  constexpr const char* kDecode = "attention_decode_cuda";
  if (as_decode) return {kDecode, "to the bit as decoding steps"};
  if (layout.format == KvFormat::f32) return {kDecode, "no tensor cores over fp32"};
  const char* const refusal = hopper_refuses(layout);
  if (refusal == nullptr) return {"attention_prefill_sm90_cuda", "wgmma"};
  return {"attention_prefill_cuda", refusal};
}

std::size_t attention_prefill_shared(const kv::KvLayout& layout) {
  if (layout.format == KvFormat::f32 || hopper_refuses(layout) == nullptr) return 0;
  const CacheSizes sizes(layout);
  std::size_t bytes = 0;
  with_tiles(sizes.tiles, [&](auto tiles) {
    bytes = layout.format == KvFormat::int8 ? shared_bytes<KvFormat::int8, tiles()>(sizes)
                                            : shared_bytes<KvFormat::fp16, tiles()>(sizes);
  });
  return bytes;
}

void attention_prefill(const DevicePrefillArgs& args, cudaStream_t stream) {
  const kv::KvLayout& layout = args.kv.layout;
  const bool possible = layout.head_dim % 8 == 0 && layout.head_dim <= kMaxDeviceHeadDim &&
                        args.heads % layout.kv_heads == 0 && args.scale > 0 &&
                        args.q_stride % 4 == 0 && args.max_length > 0;
  PLIMSOLL_CUDA_CHECK(possible ? cudaSuccess : cudaErrorInvalidValue);
  if (args.as_decode) return run_as_decode(args, stream);
  const PrefillPlan plan(args);
  if (hopper_refuses(layout) == nullptr) return prefill_hopper(plan, stream);
  switch (layout.format) {
    case KvFormat::f32:
      return run_as_decode(args, stream);
    case KvFormat::bf16:
      return run<KvFormat::bf16>(plan, stream);
    case KvFormat::fp16:
      return run<KvFormat::fp16>(plan, stream);
    case KvFormat::int8:
      return run<KvFormat::int8>(plan, stream);
  }
}

}  // namespace plimsoll::kernels
