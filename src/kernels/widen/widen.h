// 16-bit floats to fp32, exactly.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace plimsoll::kernels {

/// target[i] = source[i] for `count` elements of f32, f16 or bf16. On the calling thread.
void widen(const void* source, DType dtype, std::int64_t count, float* target);

void widen_f16_avx2(const std::uint16_t* source, std::int64_t count, float* target);

}  // namespace plimsoll::kernels
