// The reciprocal that bitsandbytes' CUDA kernels compute. They are built with --use_fast_math,
// which turns 1 / x into the instruction rcp.approx.ftz.f32: a table and an interpolation, one unit
// in the last place off for one value in eight. At a tie between two codes that unit decides.
#pragma once

namespace plimsoll::quant {

/// What rcp.approx gives for the magnitudes of 16-bit weights: exact to the bit for every x > 0
/// that f16 or bf16 can hold and whose reciprocal is normal. Other x get the correctly rounded 1 /
/// x, which the instruction misses by one unit for one value in eight.
float cuda_reciprocal(float x);

}  // namespace plimsoll::quant
