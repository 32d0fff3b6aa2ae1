// The work of prefill_hopper_cuda.cuh's kernel in pieces, and which block has which.
#pragma once

#include "kernels/attention_prefill/prefill_plan_cuda.cuh"

namespace plimsoll::kernels::flash3 {

inline constexpr int kRows = 128;    // of an item
inline constexpr int kTokens = 128;  // of a tile
inline constexpr int kMostSpans = 64;

/// Spans of a launch, and which of the launch's groups of rows are theirs: span i's begin at
/// first_group[i].
struct Spans {
  int count = 0;
  int begin[kMostSpans];
  int rows[kMostSpans];
  int first_group[kMostSpans + 1] = {};
};

/// 128 rows of a head, or fewer at a span's end.
struct Item {
  int head, kv_head;
  int begin, rows;     // of the batch
  int held;            // tokens of the sequence, once its position is known
  int position, last;  // of the first row and the last
  int seen_from;       // the first token that some row sees
  int first_tile, tiles;

  __device__ Item(const PrefillPlan& plan, const Spans& spans, int index) {
    const auto heads = static_cast<int>(plan.args.heads);
    const int group = spans.first_group[spans.count] - 1 - index / heads;
    head = index % heads;
    kv_head = head / plan.group;
    int span = 0;
    while (group >= spans.first_group[span + 1]) ++span;
    const int first = (group - spans.first_group[span]) * kRows;
    begin = spans.begin[span] + first;
    rows = min(spans.rows[span] - first, kRows);
    held = spans.rows[span] - first;
  }

  __device__ void place(int at, int window) {
    position = at;
    last = position + rows - 1;
    held += position;
    seen_from = window > 0 ? max(position - window + 1, 0) : 0;
    // Tiles begin at multiples of their size, so that a row's sums do not depend on where its item
    // began; those that it does not see add nothing.
    first_tile = seen_from / kTokens;
    tiles = last / kTokens + 1;
  }
};

/// fn(item, whether it is the first) for the items of this block. An item's position is read while
/// the one before is at work.
template <class Fn>
__device__ void each_item(const PrefillPlan& plan, const Spans& spans, Fn&& fn) {
  const int items = spans.first_group[spans.count] * static_cast<int>(plan.args.heads);
  const auto blocks = static_cast<int>(gridDim.x);
  const auto block = static_cast<int>(blockIdx.x);
  const auto index_of = [&](int round) {
    return round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
  };
  const auto position_of = [&](int index) {
    return index < items ? plan.args.kv.positions[Item(plan, spans, index).begin] : 0;
  };
  int next = position_of(index_of(0));
  for (int round = 0; index_of(round) < items; ++round) {
    Item item(plan, spans, index_of(round));
    item.place(next, static_cast<int>(plan.args.window));
    next = position_of(index_of(round + 1));
    fn(item, round == 0);
  }
}

}  // namespace plimsoll::kernels::flash3
