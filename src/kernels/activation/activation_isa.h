// What the ISA files of activation implement. Raw pointers only, since they include this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// y[i] = silu(gate[i]) * up[i]; y may be gate or up.
using Swiglu = void (*)(const float* gate, const float* up, std::int64_t count, float* y);
void swiglu_avx2(const float* gate, const float* up, std::int64_t count, float* y);
void swiglu_avx512(const float* gate, const float* up, std::int64_t count, float* y);

}  // namespace plimsoll::kernels
