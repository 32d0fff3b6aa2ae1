// What a lane's codes of a chunk (gemv_layout.h) stand for, in f32: as quant::decode() has it.
#pragma once

#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::dequantize {

inline constexpr float kInt8WeightScale = 7.874015718698502e-3f;  // quant/int8.h

// What one row's codes of one chunk are multiplied by, and what is taken off before.
struct Scale {
  float scale = 1;
  float zero = 0;
};

template <gemv::Format kFormat>
__device__ inline Scale scale_of(const gemv::DeviceWeights& w, int tile, int chunk, int j) {
  const std::int64_t at = static_cast<std::int64_t>(tile) * w.chunks + chunk;
  const unsigned char* scales = w.scales + at * gemv::scale_bytes(kFormat);
  const int row = tile * gemv::kTileRows + j;
  const int place = j % 8 * 2 + j / 8;
  if constexpr (kFormat == gemv::Format::table4) {
    return {reinterpret_cast<const float*>(scales)[place], 0};
  } else if constexpr (kFormat == gemv::Format::table4_dq) {
    const gemv::RowScales of = reinterpret_cast<const gemv::RowScales*>(w.row_meta)[row];
    const float nested = w.nested_table[scales[place]];
    return {__fadd_rn(__fmul_rn(nested, chunk < of.border ? of.first : of.second), of.offset), 0};
  } else if constexpr (kFormat == gemv::Format::int4) {
    const int zeros = scales[gemv::kTileRows * 2 + j % 8];
    return {__half2float(reinterpret_cast<const __half*>(scales)[place]),
            static_cast<float>(j < 8 ? zeros & 0xf : zeros >> 4)};
  } else if constexpr (gemv::row_meta_floats(kFormat) > 0) {
    return {w.row_meta[row * gemv::row_meta_floats(kFormat)], 0};
  } else {
    return {};
  }
}

__device__ inline float from_e4m3(std::uint32_t code) {
  return __half2float(
      __half(__nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code), __NV_E4M3)));
}

// Column i of the lane's share, out of its 8 bytes.
template <gemv::Format kFormat>
__device__ inline float decoded(const uint2& codes, int i, const Scale& of, const float* levels) {
  const auto word = [&](int which) { return which == 0 ? codes.x : codes.y; };
  if constexpr (kFormat == gemv::Format::f32) {
    return __uint_as_float(word(i));
  } else if constexpr (kFormat == gemv::Format::f16) {
    return __half2float(__ushort_as_half(static_cast<unsigned short>(word(i / 2) >> i % 2 * 16)));
  } else if constexpr (kFormat == gemv::Format::bf16) {
    return __uint_as_float(word(i / 2) >> i % 2 * 16 << 16);
  } else if constexpr (kFormat == gemv::Format::fp8) {
    return from_e4m3(word(i / 4) >> i % 4 * 8 & 0xff) * of.scale;
  } else if constexpr (kFormat == gemv::Format::int8 || kFormat == gemv::Format::int8_static) {
    const auto code = static_cast<std::int8_t>(word(i / 4) >> i % 4 * 8);
    return static_cast<float>(code) * of.scale * kInt8WeightScale;
  } else if constexpr (kFormat == gemv::Format::int4) {
    const std::uint32_t code = word(i / 8) >> (i % 4 * 8 + i % 8 / 4 * 4) & 0xf;
    return of.scale * (static_cast<float>(code) - of.zero);
  } else {
    return levels[word(i / 8) >> i % 8 * 4 & 0xf] * of.scale;
  }
}

}  // namespace plimsoll::kernels::dequantize
