// Random attention problems in paged caches of their own. For tests and benchmarks only.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "core/huge_pages.h"
#include "core/rng.h"
#include "kernels/attention/attention.h"
#include "kv/kv_layout.h"

namespace plimsoll::kernels::cases {

struct AttentionShape {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 64;
  std::int64_t q_len = 1;
  std::int64_t k_len = 1;
  bool causal = true;
  std::int64_t window = 0;
};

inline std::vector<float> normal_values(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

/// Blocks in shuffled (or rising) order, with NaN wherever no token was written; blocks that the
/// window has passed are dropped. Results are written to `out`, which begins as NaN.
struct AttentionCase {
  Tensor codes;  // u8, as a pool holds them
  std::vector<float> key_scales, value_scales, q, out;
  std::vector<std::int32_t> table;
  AttentionArgs args;

  AttentionCase(const AttentionShape& shape, kv::KvFormat format, Compute compute,
                bool shuffled = true, std::uint64_t seed = 1) {
    const std::int64_t blocks = (shape.k_len + kv::kBlockTokens - 1) / kv::kBlockTokens;
    const std::int64_t width = shape.kv_heads * shape.head_dim;
    q = normal_values(shape.q_len * shape.heads * shape.head_dim, seed);
    fill(shape, format, blocks, shuffled, seed);
    const auto k = normal_values(shape.k_len * width, seed + 1);
    const auto v = normal_values(shape.k_len * width, seed + 2);
    kv::write_tokens(args.kv, 0, shape.k_len, k.data(), v.data());
    args.q = q.data();
    args.q_len = shape.q_len;
    args.heads = shape.heads;
    args.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    args.causal = shape.causal;
    args.window = shape.window;
    args.compute = compute;
    clear();
    args.kv.first = args.visible_begin(0);
    for (std::int64_t b = 0; b < args.kv.first / kv::kBlockTokens; ++b) {
      table[static_cast<std::size_t>(b)] = -1;
    }
  }
  AttentionCase(const AttentionCase&) = delete;
  AttentionCase& operator=(const AttentionCase&) = delete;

  void clear() {
    out.assign(q.size(), std::numeric_limits<float>::quiet_NaN());
    args.out = out.data();
  }

 private:
  void fill(const AttentionShape& shape, kv::KvFormat format, std::int64_t blocks, bool shuffled,
            std::uint64_t seed) {
    args.kv.layout = {format, shape.kv_heads, shape.head_dim};
    const kv::KvLayout& layout = args.kv.layout;
    codes = empty_on_huge_pages(DType::u8, {blocks, layout.block_bytes()});
    std::memset(codes.raw(), 0xff, codes.bytes());
    key_scales.assign(static_cast<std::size_t>(blocks * layout.block_scales()),
                      std::numeric_limits<float>::quiet_NaN());
    value_scales = key_scales;
    table.resize(static_cast<std::size_t>(blocks));
    std::iota(table.begin(), table.end(), 0);
    Rng rng(seed);
    for (std::size_t i = table.size(); shuffled && i > 1; --i) {  // Fisher-Yates
      std::swap(table[i - 1], table[rng.below(i)]);
    }
    args.kv.keys = codes.raw();
    args.kv.values = codes.raw() + layout.part_bytes();
    args.kv.key_scales = key_scales.data();
    args.kv.value_scales = value_scales.data();
    args.kv.table = table.data();
    args.kv.length = shape.k_len;
  }
};

}  // namespace plimsoll::kernels::cases
