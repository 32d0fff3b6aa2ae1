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

/// The items of this block, one after the other. An item's position is read while the one before
/// is at work.
class Items {
 public:
  __device__ Items(const PrefillPlan& plan, const Spans& spans)
      : plan_(plan),
        spans_(spans),
        items_(spans.first_group[spans.count] * static_cast<int>(plan.args.heads)),
        position_(position()) {}

  __device__ bool more() const { return index() < items_; }
  /// The next one, of which there must be more.
  __device__ Item take() {
    Item item(plan_, spans_, index());
    item.place(position_, static_cast<int>(plan_.args.window));
    ++round_;
    position_ = position();
    return item;
  }

 private:
  __device__ int index() const {
    const auto blocks = static_cast<int>(gridDim.x);
    const auto block = static_cast<int>(blockIdx.x);
    return round_ * blocks + (round_ % 2 == 0 ? block : blocks - 1 - block);
  }
  __device__ int position() const {
    return more() ? plan_.args.kv.positions[Item(plan_, spans_, index()).begin] : 0;
  }

  const PrefillPlan& plan_;
  const Spans& spans_;
  int items_;
  int round_ = 0;
  int position_;  // of the next item
};

}  // namespace plimsoll::kernels::flash3
