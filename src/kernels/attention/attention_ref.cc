#include <algorithm>
#include <cmath>
#include <vector>

#include "core/threads.h"
#include "kernels/attention/attention.h"
#include "kv/kv_layout.h"

namespace plimsoll::kernels {

void attention_ref(const AttentionArgs& args) {
  const std::int64_t dim = args.kv.layout.head_dim;
  const std::int64_t group = args.group();
  parallel_for(args.heads, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> scores(static_cast<std::size_t>(args.kv.length));
    std::vector<float> row(static_cast<std::size_t>(dim));  // a key or value
    for (std::int64_t head = begin; head < end; ++head) {
      for (std::int64_t i = 0; i < args.q_len; ++i) {
        const float* q = args.q + (i * args.heads + head) * dim;
        double largest = -INFINITY;
        for (std::int64_t j = args.visible_begin(i); j < args.visible_end(i); ++j) {
          kv::read_key(args.kv, j, head / group, row.data());
          double dot = 0;
          for (std::int64_t d = 0; d < dim; ++d)
            dot += static_cast<double>(q[d]) * row[static_cast<std::size_t>(d)];
          scores[static_cast<std::size_t>(j)] = dot * args.scale;
          largest = std::max(largest, dot * args.scale);
        }
        double total = 0;
        std::vector<double> sum(static_cast<std::size_t>(dim), 0.0);
        for (std::int64_t j = args.visible_begin(i); j < args.visible_end(i); ++j) {
          const double weight = std::exp(scores[static_cast<std::size_t>(j)] - largest);
          kv::read_value(args.kv, j, head / group, row.data());
          total += weight;
          for (std::size_t d = 0; d < row.size(); ++d) sum[d] += weight * row[d];
        }
        float* out = args.out + (i * args.heads + head) * dim;
        for (std::int64_t d = 0; d < dim; ++d) {
          out[d] = static_cast<float>(sum[static_cast<std::size_t>(d)] / total);
        }
      }
    }
  });
}

}  // namespace plimsoll::kernels
