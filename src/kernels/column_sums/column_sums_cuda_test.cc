#include "kernels/column_sums/column_sums_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

TEST(ColumnSumsCuda, AddsEveryRowOfEveryColumn) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const std::size_t rows : {1, 31, 1000}) {
    for (const std::size_t width : {1, 33, 768}) {
      const std::vector<float> x = test::random_floats(rows * width, 1);
      const std::vector<float> before = test::random_floats(width, 2);
      const cuda::Buffer x_buffer = test::uploaded(x);
      const cuda::Buffer sums = test::uploaded(before);
      const cuda::Stream stream;
      add_column_sums(x_buffer.data<float>(), static_cast<std::int64_t>(rows),
                      static_cast<std::int64_t>(width), sums.data<float>(), stream.get());
      stream.synchronize();
      const std::vector<float> actual = test::downloaded<float>(sums);
      for (std::size_t column = 0; column < width; ++column) {
        double sum = before[column];
        double magnitude = std::fabs(sum);
        for (std::size_t row = 0; row < rows; ++row) {
          sum += x[row * width + column];
          magnitude += std::fabs(x[row * width + column]);
        }
        // A chain of a 32nd of the rows, and 32 of them.
        const double terms = static_cast<double>(rows) / 32 + 33;
        ASSERT_NEAR(actual[column], sum, std::ldexp(terms * magnitude, -24))
            << rows << " rows, column " << column;
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
