#include "kernels/attention_eager/attention_eager.h"

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/threads.h"
#include "kernels/attention_eager/attention_eager_isa.h"
#include "kernels/onednn.h"
#include "kv/kv_layout.h"

namespace plimsoll::kernels {

namespace {

using kv::kBlockTokens;
using kv::KvFormat;

template <class T>
std::vector<T> buffer(std::int64_t count) {
  return std::vector<T>(static_cast<std::size_t>(count));
}

void masked_softmax_scalar(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end,
                           float scale) {
  const float largest = *std::max_element(scores + begin, scores + end);
  float total = 0;
  for (std::int64_t j = begin; j < end; ++j) {
    scores[j] = std::exp((scores[j] - largest) * scale);
    total += scores[j];
  }
  std::fill(scores, scores + begin, 0.0f);
  for (std::int64_t j = begin; j < end; ++j) scores[j] /= total;
  std::fill(scores + end, scores + count, 0.0f);
}

/// The matrices of one product. One query alone: the query heads of a KV head are the rows.
/// Otherwise the queries of one head.
struct Problem {
  explicit Problem(const AttentionArgs& args)
      : heads(args.q_len == 1 ? args.kv.layout.kv_heads : args.heads),
        heads_per_kv(heads / args.kv.layout.kv_heads),
        rows(args.q_len == 1 ? args.group() : args.q_len),
        row_stride(args.kv.layout.head_dim * (args.q_len == 1 ? 1 : args.heads)),
        head_stride(args.kv.layout.head_dim * (args.q_len == 1 ? args.group() : 1)),
        // Whole blocks, so that copies are.
        first(args.visible_begin(0) / kBlockTokens * kBlockTokens),
        keys(args.kv.length - first),
        dim(args.kv.layout.head_dim) {
    PLIMSOLL_CHECK(args.q_len > 0 && args.visible_begin(0) >= args.kv.first && args.scale > 0);
  }
  std::int64_t heads, heads_per_kv, rows, row_stride, head_stride, first, keys, dim;
};

/// One KV head's keys as [dim, keys] and its values as [keys, dim], fp32.
void gather(const kv::KvView& kv, const Problem& p, std::int64_t head, float* keys, float* values) {
  if (kv.layout.format != KvFormat::f32) {
    std::vector<float> key = buffer<float>(p.dim);
    for (std::int64_t j = std::max<std::int64_t>(0, kv.first - p.first); j < p.keys; ++j) {
      kv::read_key(kv, p.first + j, head, key.data());
      for (std::int64_t d = 0; d < p.dim; ++d)
        keys[d * p.keys + j] = key[static_cast<std::size_t>(d)];
      kv::read_value(kv, p.first + j, head, values + j * p.dim);
    }
    return;
  }
  for (std::int64_t j = 0; j < p.keys; j += kBlockTokens) {
    const std::int64_t count = std::min(kBlockTokens, p.keys - j);
    const std::int64_t offset = kv.table[(p.first + j) / kBlockTokens] * kv.layout.block_bytes() +
                                head * kv.layout.head_bytes();
    const auto* k = reinterpret_cast<const float*>(kv.keys + offset);
    const auto* v = reinterpret_cast<const float*>(kv.values + offset);
    for (std::int64_t d = 0; d < p.dim; ++d) {
      std::memcpy(keys + d * p.keys + j, k + d * kBlockTokens,
                  static_cast<std::size_t>(count) * sizeof(float));
    }
    for (std::int64_t t = 0; t < count; ++t) {
      std::memcpy(values + (j + t) * p.dim, v + t * kv.layout.padded_dim(),
                  static_cast<std::size_t>(p.dim) * sizeof(float));
    }
  }
}

/// Of a bf16 cache: keys as [keys, dim] and values as [dim, keys], as gemm_bf16 wants them.
void gather_bf16(const kv::KvView& kv, const Problem& p, std::int64_t head, std::uint16_t* keys,
                 std::uint16_t* values) {
  const std::int64_t padded = kv.layout.padded_dim();
  for (std::int64_t j = 0; j < p.keys; ++j) {
    const std::int64_t slot = j % kBlockTokens;
    const std::int64_t offset = kv.table[(p.first + j) / kBlockTokens] * kv.layout.block_bytes() +
                                head * kv.layout.head_bytes();
    const auto* k = reinterpret_cast<const std::uint16_t*>(kv.keys + offset);
    const auto* v = reinterpret_cast<const std::uint16_t*>(kv.values + offset);
    for (std::int64_t d = 0; d < p.dim; ++d) {
      keys[j * p.dim + d] = k[(d / 2 * kBlockTokens + slot) * 2 + d % 2];
      values[d * p.keys + j] = v[(slot / 2 * padded + d) * 2 + slot % 2];
    }
  }
}

std::int64_t query_of(const AttentionArgs& args, std::int64_t row) {
  return args.q_len == 1 ? 0 : row;
}

void run(const AttentionArgs& args, MaskedSoftmax softmax) {
  const Problem p(args);
  parallel_for(p.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    auto keys = buffer<float>(p.keys * p.dim), values = buffer<float>(p.keys * p.dim);
    auto scores = buffer<float>(p.rows * p.keys);
    for (std::int64_t head = begin; head < end; ++head) {
      if (head == begin || head % p.heads_per_kv == 0) {
        gather(args.kv, p, head / p.heads_per_kv, keys.data(), values.data());
      }
      sgemm(false, p.rows, p.keys, p.dim, 1.0f, args.q + head * p.head_stride, p.row_stride,
            keys.data(), p.keys, scores.data(), p.keys);
      for (std::int64_t row = 0; row < p.rows; ++row) {
        const std::int64_t query = query_of(args, row);
        softmax(scores.data() + row * p.keys, p.keys, args.visible_begin(query) - p.first,
                args.visible_end(query) - p.first, args.scale);
      }
      sgemm(false, p.rows, p.dim, p.keys, 1.0f, scores.data(), p.keys, values.data(), p.dim,
            args.out + head * p.head_stride, p.row_stride);
    }
  });
}

void run_bf16(const AttentionArgs& args) {
  const Problem p(args);
  parallel_for(p.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    auto keys = buffer<std::uint16_t>(p.keys * p.dim), values = keys;
    auto q = buffer<std::uint16_t>(p.rows * p.dim);
    auto scores = buffer<float>(p.rows * p.keys), out = buffer<float>(p.rows * p.dim);
    auto weights = buffer<std::uint16_t>(p.rows * p.keys);
    for (std::int64_t head = begin; head < end; ++head) {
      if (head == begin || head % p.heads_per_kv == 0) {
        gather_bf16(args.kv, p, head / p.heads_per_kv, keys.data(), values.data());
      }
      for (std::int64_t row = 0; row < p.rows; ++row) {
        round_to_bf16(args.q + head * p.head_stride + row * p.row_stride, p.dim,
                      q.data() + row * p.dim);
      }
      gemm_bf16(p.rows, p.keys, p.dim, q.data(), keys.data(), scores.data());
      for (std::int64_t row = 0; row < p.rows; ++row) {
        const std::int64_t query = query_of(args, row);
        masked_softmax_bf16(scores.data() + row * p.keys, p.keys,
                            args.visible_begin(query) - p.first, args.visible_end(query) - p.first,
                            args.scale, weights.data() + row * p.keys);
      }
      gemm_bf16(p.rows, p.dim, p.keys, weights.data(), values.data(), out.data());
      for (std::int64_t row = 0; row < p.rows; ++row) {
        std::memcpy(args.out + head * p.head_stride + row * p.row_stride, out.data() + row * p.dim,
                    static_cast<std::size_t>(p.dim) * sizeof(float));
      }
    }
  });
}

Support takes_bf16(const AttentionArgs& args) {
  if (args.compute != Compute::fast) {
    return Support::no("rounds queries and weights to bf16: --compute fast only");
  }
  if (args.kv.layout.format != KvFormat::bf16) return Support::no("bf16 keys and values only");
  return Support::yes();
}

const std::array<KernelVariant<AttentionArgs>, 5> kVariants{{
    {"attention_eager_bf16_onednn", Isa::avx512_bf16, takes_bf16, run_bf16},
    {"attention_eager_avx512", Isa::avx512, nullptr,
     [](const AttentionArgs& args) { run(args, masked_softmax_avx512); }},
    {"attention_eager_avx2", Isa::avx2, nullptr,
     [](const AttentionArgs& args) { run(args, masked_softmax_avx2); }},
    {"attention_eager_scalar", Isa::scalar, nullptr,
     [](const AttentionArgs& args) { run(args, masked_softmax_scalar); }},
    {"attention_ref", Isa::scalar, nullptr, attention_ref},
}};

}  // namespace

std::span<const KernelVariant<AttentionArgs>> attention_eager_variants() {
  return kVariants;
}

std::int64_t attention_eager_bytes(const AttentionArgs& args) {
  const Problem p(args);
  // Scores in fp32, and beside them as bf16 where that runs; keys and values.
  const std::int64_t bytes = p.rows * p.keys * (takes_bf16(args) ? 6 : 4) + 8 * p.keys * p.dim;
  return bytes * std::min<std::int64_t>(threads(), p.heads);
}

}  // namespace plimsoll::kernels
