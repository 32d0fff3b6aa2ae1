// Activations of the int8 formats, quantised as quant/int8.h says and packed for a kernel.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// One activation of an outlier column: its place in Int8Activations::outlier_columns and its
/// value, rounded to the weights' source dtype.
struct Outlier {
  std::int32_t index;
  float value;
};

struct Int8Activations {
  Tensor codes;               // u8 or i16 [rows (+ 1), stride]
  std::int64_t stride = 0;    // elements, a multiple of 64; zeros beyond the columns
  std::vector<float> absmax;  // [rows]; empty for int8-static
  std::vector<std::int32_t> outlier_columns;   // ascending, those of any row
  std::vector<std::vector<Outlier>> outliers;  // [rows]; empty when there are none
};

/// int8-static's zero point, 0 for the others.
std::int32_t zero_point(const quant::Matrix& weight);

/// i16 codes, less the zero point.
Int8Activations quantize_to_i16(const LinearArgs& args);

/// u8 codes, plus kInt8Offset; and one more row of ones, whose products are the sums of the
/// weights' rows, by which the offset and the zero point come off again.
Int8Activations quantize_to_u8(const LinearArgs& args);
inline constexpr std::int32_t kInt8Offset = 128;

}  // namespace plimsoll::kernels
