#include "quant/random_matrix.h"

#include <gtest/gtest.h>

#include <cmath>

namespace plimsoll::quant {
namespace {

TEST(RandomMatrix, IsAValidMatrixOfTheAskedShapeInEveryFormat) {
  for (const WeightFormat format : all_formats()) {
    for (const auto& [rows, columns] : {std::pair{200, 384}, {24, 128}, {128, 72}}) {
      const Matrix matrix = random_matrix(format, rows, columns, {}, 3);
      check_matrix(matrix, "random");
      EXPECT_EQ(matrix.format, format);
      const Tensor values = decode(matrix);
      double squares = 0;
      for (const float value : values.span<float>()) squares += static_cast<double>(value) * value;
      EXPECT_NEAR(std::sqrt(squares / static_cast<double>(values.size())), 0.02, 0.004)
          << format_name(format);
    }
  }
}

}  // namespace
}  // namespace plimsoll::quant
