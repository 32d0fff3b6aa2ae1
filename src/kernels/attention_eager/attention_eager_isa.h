// What the ISA files of attention_eager implement.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// In place: scores[j] = e^(scale scores[j]) over their sum for j in [begin, end), 0 for the other
/// of `count`. scale > 0, begin < end.
using MaskedSoftmax = void (*)(float* scores, std::int64_t count, std::int64_t begin,
                               std::int64_t end, float scale);

void masked_softmax_avx2(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end,
                         float scale);
void masked_softmax_avx512(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end,
                           float scale);
/// The weights as bf16 into `weights` [count]; `scores` is scratch.
void masked_softmax_bf16(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end,
                         float scale, std::uint16_t* weights);
void round_to_bf16(const float* source, std::int64_t count, std::uint16_t* target);

}  // namespace plimsoll::kernels
