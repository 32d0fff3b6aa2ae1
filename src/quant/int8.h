// int8, int8-dynamic, int8-static: eight-bit weights with one scale a row, eight-bit activations.
// LLM.int8() (Dettmers et al., arXiv:2208.07339), in the arithmetic of bitsandbytes' CUDA kernels,
// so that codes and scales are the same byte for byte.
//
//   codes  [rows, columns] i8   rint(w * (127 * (1 / absmax)))  w rounded to source_dtype first;
//   the
//                               reciprocal is CUDA's (cuda_reciprocal.h)
//   scales [rows] f32           absmax of the row               (bitsandbytes' SCB)
//   w ~ code * absmax / 127
//
// y = x W^T. What becomes of the activations x differs:
//
//   int8          one absmax a token, over the magnitudes below the outlier threshold. Columns that
//                 hold a magnitude at or over it get code 0 and are multiplied in 16 bits
//                 (source_dtype) with the dequantised weights. Scope token: a row's own outliers
//                 only, so that a token's result never depends on its neighbours. Scope batch: a
//                 column is taken out for all rows as soon as it is an outlier in one
//                 (bitsandbytes).
//   int8-dynamic  the same without decomposition: threshold 0.
//   int8-static   one scale and zero point for the whole tensor, from calibration (observer.h):
//                 q = clamp(rint(x / input_scale) + input_zero, -128, 127).
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "quant/codec.h"
#include "quant/rounding.h"

namespace plimsoll::quant {

/// bitsandbytes' 1 / (127 * 127) in the product's scale, and its 1 / 127.
inline constexpr float kInt8ProductScale = 6.200012e-05f;
inline constexpr float kInt8WeightScale = 7.874015718698502e-3f;

/// The matrix's codes and scales; see encode().
Matrix encode_int8(WeightFormat format, const Tensor& weights, const EncodeOptions& options,
                   std::string_view name);
void decode_int8_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out);

/// One value as the decode gives it: code * absmax / 127, in bitsandbytes' order of products.
inline float int8_weight(std::int8_t code, float absmax) {
  return static_cast<float>(code) * absmax * kInt8WeightScale;
}

/// One token's activations x[columns] in int8: codes[i] = rint(x[i] * (127 / absmax)), 0 where
/// |x[i]| >= threshold. Returns absmax, the largest magnitude below the threshold (0 when none is;
/// the codes are then 0). threshold 0: no outliers, all columns count. x must be finite.
float quantize_token(std::span<const float> x, float threshold, std::int8_t* codes);

/// Columns, ascending, where any of the `rows` tokens of x[rows, columns] has |x| >= threshold.
/// Empty when threshold is 0.
std::vector<std::int32_t> outlier_columns(const float* x, std::int64_t rows, std::int64_t columns,
                                          float threshold);

/// int8-static: one activation. scale > 0. Here so that loops over it become vector code.
inline std::int8_t quantize_static(float x, float scale, std::int32_t zero) {
  // Clamped before rounding too: round_even takes no large values.
  const float steps = std::clamp(x / scale, -1024.0f, 1024.0f);
  const int code = static_cast<int>(round_even(steps)) + zero;
  return static_cast<std::int8_t>(std::clamp(code, -128, 127));
}

/// A factor of the 16-bit outlier product: rounded to f16 (beyond its range: the largest f16) or
/// bf16; f32 is left as it is.
float outlier_factor(float value, DType source_dtype);
/// The same of every value: one call a value would cost more than the product.
void outlier_factors(float* values, std::int64_t count, DType source_dtype);

/// The defining product y[rows, matrix.rows] = x[rows, matrix.columns] W^T of the three int8
/// formats, scalar: integer products summed in int32, scaled as (sum * absmax_x * absmax_w) *
/// kInt8ProductScale in f32; int8 adds the outlier columns' products, summed in f64. Columns of at
/// most 2^17 (the sum must fit an int32).
void int8_linear_reference(const Matrix& matrix, const float* x, std::int64_t rows, float* y);

}  // namespace plimsoll::quant
