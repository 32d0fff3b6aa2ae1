// What a kernel of attention_decode is launched with, and which part of it is a block's.
#pragma once

#include "kernels/attention/attention_tile_cuda.cuh"
#include "kernels/attention_decode/attention_decode_cuda.h"
#include "kernels/attention_decode/decode_operands_cuda.cuh"
#include "kernels/rope/head_vector_cuda.cuh"

namespace plimsoll::kernels {

inline constexpr int kMaxSplits = 32;

/// Softmax over some keys, unfinished: the largest score (in powers of two) and the sum of
/// 2^(score - largest).
using Totals = float2;

struct Plan {
  DeviceDecodeArgs args;
  CacheSizes sizes;
  int group = 0;     // query heads of a KV head
  int groups = 0;    // of kQueries queries, of a KV head
  float factor = 0;  // scale times log2 e
  // Of the splits but the last, see hand_over().
  Totals* split_totals;  // [rows, heads, kMaxSplits]
  float* split_sums;     // [rows, heads, kMaxSplits, padded_dim]
};

/// Warps of a block. Over f32 fewer, for head dims of 256 to fit into shared memory.
__host__ __device__ constexpr int decode_warps(KvFormat format) {
  return format == KvFormat::f32 ? 4 : 8;
}

/// What a block of `warps` warps has to do.
struct Work {
  int warps;
  int row, kv_head, first_query, queries;
  int position;             // of the row's token
  int begin;                // first token that it sees
  int first_block, blocks;  // of the split: [first_block, blocks), of them warp w every warps-th
  int split, splits;
  const std::int32_t* table;  // the sequence's blocks

  __device__ Work(const Plan& plan, int warps_of) : warps(warps_of) {
    const int head = static_cast<int>(blockIdx.y);
    row = static_cast<int>(blockIdx.z);
    table = table_of(plan.args.kv, row);  // asked for beside the position, not behind it
    kv_head = head / plan.groups;
    first_query = head % plan.groups * kQueries;
    queries = min(kQueries, plan.group - first_query);
    position = plan.args.kv.positions[row];
    const auto window = static_cast<int>(plan.args.window);
    begin = window > 0 ? max(position - window + 1, 0) : 0;
    const int first = begin / kBlockTokens;
    const int last = position / kBlockTokens;
    // One split fewer than there may be: the first one may be begun in its middle.
    const int each = (last - first) / (warps * (kMaxSplits - 1)) + 1;
    const int of_split = warps * each;
    const int at = first / of_split + static_cast<int>(blockIdx.x);
    split = static_cast<int>(blockIdx.x);
    splits = last / of_split - first / of_split + 1;
    first_block = at * of_split;
    blocks = min(first_block + of_split, last + 1);
    seen_from = first;
  }
  /// The warp's first block; those of a split that lie before the window are passed over.
  __device__ int begin_of(int warp) const {
    const int before = max(seen_from - first_block - warp, 0);
    return first_block + warp + (before + warps - 1) / warps * warps;
  }
  __device__ int first_head(const Plan& plan) const { return kv_head * plan.group + first_query; }

 private:
  int seen_from;
};

}  // namespace plimsoll::kernels
