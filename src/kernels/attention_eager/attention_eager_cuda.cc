#include "kernels/attention_eager/attention_eager_cuda.h"

#include <algorithm>

#include "core/cuda/cublas_cuda.h"
#include "core/error.h"
#include "kernels/attention_eager/eager_parts_cuda.h"

namespace plimsoll::kernels {

namespace {

using cuda::Element;

Element element_of(kv::KvFormat format) {
  switch (format) {
    case kv::KvFormat::f32:
      return Element::f32;
    case kv::KvFormat::bf16:
      return Element::bf16;
    default:
      return Element::f16;
  }
}

/// Where each of Parts lies in the workspace; behind them cuBLASLt's.
struct Places {
  std::int64_t keys = 0;
  std::size_t k, v, scores, weights, library, total;

  Places(const kv::KvLayout& layout, std::int64_t heads, std::int64_t rows, std::int64_t max_length)
      : keys((max_length + kv::kBlockTokens - 1) / kv::kBlockTokens * kv::kBlockTokens) {
    const std::int64_t bytes = cuda::element_bytes(element_of(layout.format));
    constexpr std::int64_t kAligned = 256;
    std::int64_t end = 0;
    const auto place = [&](std::int64_t size) {
      end += (size + kAligned - 1) / kAligned * kAligned;
      return static_cast<std::size_t>(end);
    };
    k = place(heads * rows * layout.head_dim * bytes);
    v = place(layout.kv_heads * keys * layout.head_dim * bytes);
    scores = place(layout.kv_heads * keys * layout.head_dim * bytes);
    weights = place(heads * rows * keys * static_cast<std::int64_t>(sizeof(float)));
    library = place(heads * rows * keys * bytes);
    total = place(static_cast<std::int64_t>(cuda::kMatmulWorkspace));
  }
};

}  // namespace

std::size_t attention_eager_workspace(const kv::KvLayout& layout, std::int64_t heads,
                                      std::int64_t rows, std::int64_t max_length) {
  return Places(layout, heads, rows, max_length).total;
}

void attention_eager(const DevicePrefillArgs& args, std::byte* workspace, cudaStream_t stream) {
  const kv::KvLayout& layout = args.kv.layout;
  PLIMSOLL_CHECK(layout.head_dim % 8 == 0 && args.heads % layout.kv_heads == 0 &&
                     args.q_stride % 4 == 0 && args.max_length > 0,
                 "{} heads over {} of {}", args.heads, layout.kv_heads, layout.head_dim);
  const std::int64_t group = args.heads / layout.kv_heads;
  const Element element = element_of(layout.format);
  for (const PrefillSpan& span : args.spans) {
    if (span.rows == 0) continue;
    const Places at(layout, args.heads, span.rows, args.max_length);
    eager::Parts parts;
    parts.keys = at.keys;
    parts.q = workspace;
    parts.k = workspace + at.k;
    parts.v = workspace + at.v;
    parts.scores = reinterpret_cast<float*>(workspace + at.scores);
    parts.weights = workspace + at.weights;
    eager::gather(args, span, parts, stream);

    // A KV head's query heads lie one behind the other: rows of one product.
    cuda::MatmulArgs scores;
    scores.element = element;
    scores.x = parts.q;
    scores.w = parts.k;
    scores.y = parts.scores;
    scores.m = group * span.rows;
    scores.n = at.keys;
    scores.k = layout.head_dim;
    scores.count = layout.kv_heads;
    scores.x_step = scores.m * scores.k;
    scores.w_step = scores.n * scores.k;
    scores.y_step = scores.m * scores.n;
    scores.workspace = workspace + at.library;
    cuda::matmul(scores, stream);

    eager::softmax(args, span, parts, stream);

    // The outputs of a row's heads lie side by side: the first query head of every KV head at once,
    // then the second.
    const std::int64_t head = span.rows * at.keys;
    for (std::int64_t i = 0; i < group; ++i) {
      cuda::MatmulArgs sums;
      sums.element = element;
      sums.x =
          static_cast<const std::byte*>(parts.weights) + i * head * cuda::element_bytes(element);
      sums.w = parts.v;
      sums.y = args.out + (span.begin * args.heads + i) * layout.head_dim;
      sums.m = span.rows;
      sums.n = layout.head_dim;
      sums.k = at.keys;
      sums.y_stride = args.heads * layout.head_dim;
      sums.count = layout.kv_heads;
      sums.x_step = group * head;
      sums.w_step = sums.n * sums.k;
      sums.y_step = group * layout.head_dim;
      sums.workspace = workspace + at.library;
      cuda::matmul(sums, stream);
    }
  }
}

}  // namespace plimsoll::kernels
