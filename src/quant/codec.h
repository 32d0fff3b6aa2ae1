// Weights into a format and back. One entry for all formats; each format's layout and arithmetic
// are in the file that matrix.h names.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/variant.h"
#include "quant/matrix.h"

namespace plimsoll::quant {

struct EncodeOptions {
  int group = 64;                  // int4: columns a scale, 32, 64 or 128
  bool symmetric = false;          // int4: zero point fixed in the middle
  float outlier_threshold = 6;     // int8: copied into the matrix; 0: no decomposition
  bool outliers_by_batch = false;  // int8: copied into the matrix
  // int8*, nf4*, fp4*: what the weights are rounded to first (f16, bf16, or f32 for not at all), as
  // bitsandbytes encodes what the 16-bit model holds. The other formats encode the weights as
  // given.
  DType source_dtype = DType::f16;
};

/// Whether the format can hold a matrix of this shape with these options; the reason names the
/// rule.
Support can_hold(WeightFormat format, std::int64_t rows, std::int64_t columns,
                 const EncodeOptions& options = {});

/// Round-to-nearest encoding. `weights` is [rows, columns], f32, f16 or bf16. InputError naming
/// `name` on NaN, infinity, values that the format's statistics cannot hold, and when can_hold()
/// says no. The result does not depend on the number of threads. InternalError for gptq: see
/// gptq.h. int8_static: the input's scale and zero are left 0 for the caller (observer.h).
Matrix encode(WeightFormat format, const Tensor& weights, const EncodeOptions& options,
              std::string_view name);

/// Dequantised rows [begin, end) into out[(end - begin) * columns]. On the calling thread.
void decode_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out);
/// All of them: f32 [rows, columns], in parallel.
Tensor decode(const Matrix& matrix);

}  // namespace plimsoll::quant
