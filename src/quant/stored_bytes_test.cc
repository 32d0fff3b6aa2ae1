#include "quant/stored_bytes.h"

#include <gtest/gtest.h>

#include "core/rng.h"

namespace plimsoll::quant {
namespace {

TEST(StoredBytes, EqualsWhatEncodingTakes) {
  Tensor weights = Tensor::empty(DType::f32, {24, 168});
  Rng rng(1);
  for (float& value : weights.span<float>()) value = static_cast<float>(rng.normal());
  for (const WeightFormat format : all_formats()) {
    if (format == WeightFormat::gptq) continue;  // needs a Hessian; laid out as int4
    const Matrix matrix = encode(format, weights, {}, "w");
    EXPECT_EQ(stored_bytes(format, 24, 168), matrix_bytes(matrix)) << format_name(format);
  }
}

}  // namespace
}  // namespace plimsoll::quant
