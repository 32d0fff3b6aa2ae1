// Softmax for any register width. For instruction-set files only: internal linkage throughout.
#pragma once

#include "kernels/attention_eager/attention_eager_isa.h"

namespace plimsoll::kernels {
namespace {

template <class V>
void softmax(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end, float scale) {
  constexpr float kLog2e = 1.44269504088896341f;
  const auto low = V::set1(-__builtin_inff());
  auto largest = low;
  for (std::int64_t j = begin; j < end; j += V::kLanes) {
    largest = V::max(largest, V::keep(V::load_some(scores + j, end - j), 0, end - j, low));
  }
  const auto top = V::set1(V::lanes_max(largest));
  const auto factor = V::set1(scale * kLog2e);
  auto total = V::zero();
  for (std::int64_t j = begin; j < end; j += V::kLanes) {
    const auto x = V::mul(V::sub(V::load_some(scores + j, end - j), top), factor);
    const auto weight = V::keep(V::exp2(x), 0, end - j, V::zero());
    total = V::add(total, weight);
    V::store_some(scores + j, end - j, weight);
  }
  const auto inverse = V::set1(1.0f / V::lanes_sum(total));
  for (std::int64_t j = 0; j < begin; j += V::kLanes) {
    V::store_some(scores + j, begin - j, V::zero());
  }
  for (std::int64_t j = begin; j < end; j += V::kLanes) {
    V::store_some(scores + j, end - j, V::mul(V::load_some(scores + j, end - j), inverse));
  }
  for (std::int64_t j = end; j < count; j += V::kLanes) {
    V::store_some(scores + j, count - j, V::zero());
  }
}

}  // namespace
}  // namespace plimsoll::kernels
