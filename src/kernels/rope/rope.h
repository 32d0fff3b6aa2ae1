// Rotary position embeddings (arXiv:2104.09864) in Hugging Face's half-split order: element i of a
// head is paired with element i + head_dim/2.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

struct RopeArgs {
  float* x = nullptr;  // [tokens, heads, head_dim], rotated in place
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;      // even
  const float* cosine = nullptr;  // [tokens, head_dim/2]
  const float* sine = nullptr;    // [tokens, head_dim/2]
};

void rope(const RopeArgs& args);
/// The gradient of the input from that of the output, in place: rotation the other way.
void rope_backward(const RopeArgs& args);

/// cosine and sine of position * frequency, in double and then rounded: at position 100,000 an
/// angle in fp32 would be off by 0.004.
void rope_angles(const std::int64_t* positions, std::int64_t tokens, const float* frequencies,
                 std::int64_t half_dim, float* cosine, float* sine);

}  // namespace plimsoll::kernels
