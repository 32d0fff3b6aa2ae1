#include "kernels/attention_tile/attention_tile.h"

#include <limits>
#include <numbers>

namespace plimsoll::kernels {

using kv::kBlockTokens;
using kv::KvFormat;

namespace {

/// Multiply-adds of both products that take longer than waking a thread.
constexpr std::int64_t kThreadWork = std::int64_t{1} << 16;

}  // namespace

AttentionTiles::AttentionTiles(const AttentionArgs& args, const AttentionTileKernels& kernels)
    : args_(args), kernels_(kernels) {
  switch (args.kv.layout.format) {
    case KvFormat::f32:
      kernel_ = kernels.f32;
      break;
    case KvFormat::bf16:
      kernel_ = kernels.bf16;
      break;
    case KvFormat::fp16:
      kernel_ = kernels.fp16;
      break;
    case KvFormat::int8:
      kernel_ = kernels.int8;
      break;
  }
  PLIMSOLL_CHECK(kernel_ != nullptr);
  PLIMSOLL_CHECK(args.q_len > 0 && args.visible_begin(0) >= args.kv.first);
  if (&kernels == &kAttentionTileAvx512Bf16) packed_element_bytes_ = 2;
}

std::int64_t AttentionTiles::grain(std::int64_t count) const {
  // Whole blocks are multiplied; what causality masks counts as if it were seen.
  const std::int64_t keys =
      (args_.kv.length - args_.visible_begin(0) + kBlockTokens - 1) / kBlockTokens * kBlockTokens;
  const std::int64_t work = 2 * args_.q_len * args_.heads * keys * padded_dim();
  return std::max<std::int64_t>(1, kThreadWork * count / work);
}

std::int64_t AttentionTiles::first_tile(std::int64_t begin) const {
  return args_.visible_begin(begin / args_.group()) / kAttentionTile;
}

std::int64_t AttentionTiles::last_tile(std::int64_t end) const {
  return (args_.visible_end((end - 1) / args_.group()) + kAttentionTile - 1) / kAttentionTile;
}

void AttentionTiles::pack(std::int64_t head, std::int64_t begin, std::int64_t end,
                          std::byte* target) const {
  const std::int64_t group = args_.group();
  const std::int64_t dim = args_.kv.layout.head_dim;
  // Weights are powers of two: 2^(score log2(e)) = e^score.
  const float scale = args_.scale * std::numbers::log2e_v<float>;
  for (std::int64_t row = begin; row < end; ++row) {
    const float* q = args_.q + (row / group * args_.heads + head * group + row % group) * dim;
    kernels_.pack(q, dim, padded_dim(), scale, target + (row - begin) * packed_bytes());
  }
}

void AttentionTiles::run(std::int64_t head, std::int64_t begin, std::int64_t end,
                         const std::byte* q, std::int64_t tile, AttentionAhead* ahead,
                         const AttentionState& state) const {
  const kv::KvView& kv = args_.kv;
  const std::int64_t group = args_.group();
  // Later queries see neither earlier keys nor fewer.
  const std::int64_t seen_begin =
      std::max(tile * kAttentionTile, args_.visible_begin(begin / group));
  const std::int64_t seen_end =
      std::min((tile + 1) * kAttentionTile, args_.visible_end((end - 1) / group));
  if (seen_begin >= seen_end) return;
  std::int64_t row_begin[kAttentionRows];
  std::int64_t row_end[kAttentionRows];
  for (std::int64_t row = begin; row < end; ++row) {
    row_begin[row - begin] = args_.visible_begin(row / group);
    row_end[row - begin] = args_.visible_end(row / group);
  }
  AttentionPart part{};
  part.q = q;
  part.rows = end - begin;
  part.begin = row_begin;
  part.end = row_end;
  part.keys = kv.keys + head * kv.layout.head_bytes();
  part.values = kv.values + head * kv.layout.head_bytes();
  if (kv.layout.format == KvFormat::int8) {
    part.key_scales = kv.key_scales + head * kBlockTokens;
    part.value_scales = kv.value_scales + head * kBlockTokens;
  }
  part.table = kv.table;
  part.block_bytes = kv.layout.block_bytes();
  part.block_scales = kv.layout.block_scales();
  part.head_dim = kv.layout.head_dim;
  part.padded_dim = padded_dim();
  part.first_block = seen_begin / kBlockTokens;
  part.last_block = (seen_end + kBlockTokens - 1) / kBlockTokens;
  part.ahead = ahead;
  kernel_(part, state);
}

void AttentionTiles::finish(std::int64_t head, std::int64_t begin, std::int64_t end,
                            const AttentionState& total) const {
  const std::int64_t group = args_.group();
  const std::int64_t dim = args_.kv.layout.head_dim;
  for (std::int64_t row = begin; row < end; ++row) {
    kernels_.finish(total.out + (row - begin) * padded_dim(),
                    total.totals + (row - begin) * kAttentionLanes, dim,
                    args_.out + (row / group * args_.heads + head * group + row % group) * dim);
  }
}

AttentionAhead* AttentionLookAhead::at(const AttentionArgs& args, std::int64_t first_head,
                                       std::int64_t heads, std::int64_t tile, std::int64_t last) {
  const kv::KvLayout& layout = args.kv.layout;
  std::size_t count = 0;
  if (tile < last) {
    const std::int64_t first_block = tile * kAttentionTile / kBlockTokens;
    const std::int64_t end_block = std::min(first_block + kAttentionTile / kBlockTokens,
                                            (args.kv.length + kBlockTokens - 1) / kBlockTokens);
    for (std::int64_t block = first_block; block < end_block; ++block) {
      for (const std::byte* base : {args.kv.keys, args.kv.values}) {
        if (args.kv.table[block] < 0) continue;  // before the window
        pieces_[count++] =
            base + args.kv.table[block] * layout.block_bytes() + first_head * layout.head_bytes();
      }
    }
  }
  ahead_ = {nullptr, nullptr, pieces_.data(), pieces_.data() + count, heads * layout.head_bytes()};
  return &ahead_;
}

void AttentionStates::resize(std::int64_t rows, std::int64_t padded_dim) {
  rows_ = rows;
  padded_dim_ = padded_dim;
  const std::int64_t floats = rows * (padded_dim + kAttentionLanes + 1);
  if (memory_.size() < floats) memory_ = Tensor::empty(DType::f32, {floats});
}

AttentionState AttentionStates::at(std::int64_t row) {
  float* const out = memory_.data<float>();
  float* const totals = out + rows_ * padded_dim_;
  float* const largest = totals + rows_ * kAttentionLanes;
  return {largest + row, totals + row * kAttentionLanes, out + row * padded_dim_};
}

void AttentionStates::clear(std::int64_t rows) {
  const AttentionState state = at(0);
  std::fill_n(state.largest, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(state.totals, rows * kAttentionLanes, 0.0f);
  std::fill_n(state.out, rows * padded_dim_, 0.0f);
}

Support attention_tile_takes(const AttentionArgs& args) {
  if (args.kv.layout.head_dim <= kMaxHeadDim) return Support::yes();
  return Support::no(fmt::format("head dim {}: at most {}", args.kv.layout.head_dim, kMaxHeadDim));
}

Support attention_dot_takes(const AttentionArgs& args) {
  if (args.compute != Compute::fast) {
    return Support::no("rounds queries and weights to bf16: --compute fast only");
  }
  if (args.kv.layout.format != KvFormat::bf16) return Support::no("bf16 keys and values only");
  return attention_tile_takes(args);
}

}  // namespace plimsoll::kernels
