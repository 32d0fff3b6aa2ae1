#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "core/threads.h"

namespace plimsoll::kernels {

namespace {

// Terms summed in fp32 before they join a sum in double.
constexpr std::int64_t kChunk = 256;

double sum_of_exp(const float* logits, std::int64_t vocab, float largest) {
  double total = 0;
  for (std::int64_t first = 0; first < vocab; first += kChunk) {
    const std::int64_t end = std::min(first + kChunk, vocab);
    float part = 0;
    for (std::int64_t i = first; i < end; ++i) part += std::exp(logits[i] - largest);
    total += part;
  }
  return total;
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& args) {
  parallel_for(args.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* logits = args.logits + row * args.vocab;
      const std::int32_t target = args.targets[row];
      const float largest = *std::max_element(logits, logits + args.vocab);
      const double log_sum =
          static_cast<double>(largest) + std::log(sum_of_exp(logits, args.vocab, largest));
      args.losses[row] = log_sum - static_cast<double>(logits[target]);
      if (args.weight == 0) continue;
      const auto off = static_cast<float>(log_sum);
      for (std::int64_t i = 0; i < args.vocab; ++i)
        logits[i] = args.weight * std::exp(logits[i] - off);
      logits[target] -= args.weight;
    }
  });
}

}  // namespace plimsoll::kernels
