#include "kernels/attention_training/attention_training.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/onednn.h"

namespace plimsoll::kernels {

namespace {

// Queries and keys in a tile: two tiles of scores and the rows they belong to stay in L2.
constexpr std::int64_t kTile = 128;

/// One head's rows within [length, heads, head_dim].
struct Rows {
  const float* data;
  std::int64_t stride;
  const float* at(std::int64_t row) const { return data + row * stride; }
};
struct MutableRows {
  float* data;
  std::int64_t stride;
  float* at(std::int64_t row) const { return data + row * stride; }
};

/// Queries [q, q + q_count) against keys [k, k + k_count).
struct Tile {
  std::int64_t q, q_count, k, k_count;
};

/// The keys that query `position` sees, as columns [first, last) of the tile.
struct Columns {
  std::int64_t first, last;
};
Columns visible(const AttentionTrainingArgs& args, const Tile& tile, std::int64_t position) {
  const std::int64_t lowest = args.window > 0 ? position - args.window + 1 : 0;
  const std::int64_t first = std::clamp<std::int64_t>(lowest - tile.k, 0, tile.k_count);
  const std::int64_t last = std::clamp<std::int64_t>(position + 1 - tile.k, first, tile.k_count);
  return {first, last};
}

/// The first key that any of the queries from `q` on sees, rounded down to a tile's border.
std::int64_t first_key_tile(const AttentionTrainingArgs& args, std::int64_t q) {
  const std::int64_t lowest = args.window > 0 ? std::max<std::int64_t>(0, q - args.window + 1) : 0;
  return lowest / kTile * kTile;
}

void scores(const AttentionTrainingArgs& args, const Tile& tile, Rows q, Rows k, float* s) {
  sgemm({.b_transposed = true,
         .m = tile.q_count,
         .n = tile.k_count,
         .k = args.head_dim,
         .alpha = args.scale,
         .a = q.at(tile.q),
         .lda = q.stride,
         .b = k.at(tile.k),
         .ldb = k.stride,
         .c = s,
         .ldc = tile.k_count});
}

void forward_head(const AttentionTrainingArgs& args, Rows q, Rows k, Rows v, MutableRows out,
                  float* log_sum, std::vector<float>& s) {
  for (std::int64_t first = 0; first < args.length; first += kTile) {
    const std::int64_t count = std::min(kTile, args.length - first);
    std::vector<float> largest(static_cast<std::size_t>(count),
                               -std::numeric_limits<float>::infinity());
    std::vector<float> total(static_cast<std::size_t>(count), 0.0f);
    for (std::int64_t row = first; row < first + count; ++row)
      std::fill_n(out.at(row), args.head_dim, 0.0f);
    for (std::int64_t key = first_key_tile(args, first); key < first + count; key += kTile) {
      const Tile tile{first, count, key, std::min(kTile, args.length - key)};
      scores(args, tile, q, k, s.data());
      for (std::int64_t i = 0; i < count; ++i) {
        float* line = s.data() + i * tile.k_count;
        const auto [begin, end] = visible(args, tile, first + i);
        float& top = largest[static_cast<std::size_t>(i)];
        const float before = top;
        for (std::int64_t j = begin; j < end; ++j) top = std::max(top, line[j]);
        if (begin == end) {
          std::fill_n(line, tile.k_count, 0.0f);
          continue;
        }
        float sum = 0;
        std::fill(line, line + begin, 0.0f);
        for (std::int64_t j = begin; j < end; ++j) {
          line[j] = std::exp(line[j] - top);
          sum += line[j];
        }
        std::fill(line + end, line + tile.k_count, 0.0f);
        const float shrink = std::exp(before - top);  // 0 for the first tile that is seen
        total[static_cast<std::size_t>(i)] = total[static_cast<std::size_t>(i)] * shrink + sum;
        if (shrink != 1.0f) {
          float* o = out.at(first + i);
          for (std::int64_t d = 0; d < args.head_dim; ++d) o[d] *= shrink;
        }
      }
      sgemm({.m = count,
             .n = args.head_dim,
             .k = tile.k_count,
             .a = s.data(),
             .lda = tile.k_count,
             .b = v.at(key),
             .ldb = v.stride,
             .beta = 1,
             .c = out.at(first),
             .ldc = out.stride});
    }
    for (std::int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      float* o = out.at(first + i);
      for (std::int64_t d = 0; d < args.head_dim; ++d) o[d] /= total[at];
      log_sum[first + i] = largest[at] + std::log(total[at]);
    }
  }
}

struct HeadGradients {
  Rows dout;
  MutableRows dq, dk, dv;
};

void backward_head(const AttentionTrainingArgs& args, Rows q, Rows k, Rows v, Rows out,
                   const float* log_sum, const HeadGradients& g, std::vector<float>& p,
                   std::vector<float>& ds) {
  // sum(dout * out) of each query: what the softmax's normalisation takes off.
  std::vector<float> offset(static_cast<std::size_t>(args.length));
  for (std::int64_t row = 0; row < args.length; ++row) {
    float sum = 0;
    for (std::int64_t d = 0; d < args.head_dim; ++d) sum += g.dout.at(row)[d] * out.at(row)[d];
    offset[static_cast<std::size_t>(row)] = sum;
  }
  for (std::int64_t first = 0; first < args.length; first += kTile) {
    const std::int64_t count = std::min(kTile, args.length - first);
    for (std::int64_t key = first_key_tile(args, first); key < first + count; key += kTile) {
      const Tile tile{first, count, key, std::min(kTile, args.length - key)};
      const std::int64_t keys = tile.k_count;
      scores(args, tile, q, k, p.data());
      sgemm({.b_transposed = true,
             .m = count,
             .n = keys,
             .k = args.head_dim,
             .a = g.dout.at(first),
             .lda = g.dout.stride,
             .b = v.at(key),
             .ldb = v.stride,
             .c = ds.data(),
             .ldc = keys});
      for (std::int64_t i = 0; i < count; ++i) {
        float* weights = p.data() + i * keys;
        float* slopes = ds.data() + i * keys;
        const auto [begin, end] = visible(args, tile, first + i);
        const float denominator = log_sum[first + i];
        const float off = offset[static_cast<std::size_t>(first + i)];
        std::fill(weights, weights + begin, 0.0f);
        std::fill(slopes, slopes + begin, 0.0f);
        for (std::int64_t j = begin; j < end; ++j) {
          weights[j] = std::exp(weights[j] - denominator);
          slopes[j] = args.scale * weights[j] * (slopes[j] - off);
        }
        std::fill(weights + end, weights + keys, 0.0f);
        std::fill(slopes + end, slopes + keys, 0.0f);
      }
      sgemm({.a_transposed = true,
             .m = keys,
             .n = args.head_dim,
             .k = count,
             .a = p.data(),
             .lda = keys,
             .b = g.dout.at(first),
             .ldb = g.dout.stride,
             .beta = 1,
             .c = g.dv.at(key),
             .ldc = g.dv.stride});
      sgemm({.a_transposed = true,
             .m = keys,
             .n = args.head_dim,
             .k = count,
             .a = ds.data(),
             .lda = keys,
             .b = q.at(first),
             .ldb = q.stride,
             .beta = 1,
             .c = g.dk.at(key),
             .ldc = g.dk.stride});
      sgemm({.m = count,
             .n = args.head_dim,
             .k = keys,
             .a = ds.data(),
             .lda = keys,
             .b = k.at(key),
             .ldb = k.stride,
             .beta = 1,
             .c = g.dq.at(first),
             .ldc = g.dq.stride});
    }
  }
}

}  // namespace

void attention_training_forward(const AttentionTrainingArgs& args, std::int64_t begin,
                                std::int64_t end) {
  const std::int64_t dim = args.head_dim;
  const std::int64_t group = args.heads / args.kv_heads;
  const std::int64_t wide = args.heads * dim;
  const std::int64_t narrow = args.kv_heads * dim;
  std::vector<float> s(static_cast<std::size_t>(kTile * kTile));
  for (std::int64_t head = begin * group; head < end * group; ++head) {
    const std::int64_t kv = head / group;
    forward_head(args, {args.q + head * dim, wide}, {args.k + kv * dim, narrow},
                 {args.v + kv * dim, narrow}, {args.out + head * dim, wide},
                 args.log_sum + head * args.length, s);
  }
}

void attention_training_backward(const AttentionGradientArgs& args, std::int64_t begin,
                                 std::int64_t end) {
  const AttentionTrainingArgs& f = args.forward;
  const std::int64_t dim = f.head_dim;
  const std::int64_t group = f.heads / f.kv_heads;
  const std::int64_t wide = f.heads * dim;
  const std::int64_t narrow = f.kv_heads * dim;
  std::vector<float> p(static_cast<std::size_t>(kTile * kTile)), ds(p.size());
  for (std::int64_t head = begin * group; head < end * group; ++head) {
    const std::int64_t kv = head / group;
    backward_head(f, {f.q + head * dim, wide}, {f.k + kv * dim, narrow}, {f.v + kv * dim, narrow},
                  {f.out + head * dim, wide}, f.log_sum + head * f.length,
                  {{args.dout + head * dim, wide},
                   {args.dq + head * dim, wide},
                   {args.dk + kv * dim, narrow},
                   {args.dv + kv * dim, narrow}},
                  p, ds);
  }
}

}  // namespace plimsoll::kernels
