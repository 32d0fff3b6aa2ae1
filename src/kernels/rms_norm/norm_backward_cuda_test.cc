#include "kernels/rms_norm/norm_backward_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/layer_norm/layer_norm.h"
#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

/// Sums of n products in fp32, on both sides, of normal values: dweight's has as many as rows, and
/// those over a row are divided by its width.
void expect_near(const std::vector<float>& actual, const std::vector<float>& expected,
                 std::int64_t terms, const char* what) {
  const double bound = 4 * std::ldexp(static_cast<double>(terms) + 16, -24);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_NEAR(actual[i], expected[i], bound * (4 + std::fabs(expected[i])))
        << what << ", element " << i;
  }
}

void expect_gradients(std::int64_t rows, std::int64_t width, bool centred, bool with_parameters) {
  const auto values = static_cast<std::size_t>(rows * width);
  const auto columns = static_cast<std::size_t>(width);
  std::vector<float> x = test::random_floats(values, 1);
  for (float& value : x) value += centred ? 3.0f : 0.0f;
  const std::vector<float> weight = test::random_floats(columns, 2);
  const std::vector<float> dy = test::random_floats(values, 3);
  std::vector<float> dx = test::random_floats(values, 4);
  std::vector<float> dweight = test::random_floats(columns, 5);
  std::vector<float> dbias = test::random_floats(columns, 6);
  const cuda::Buffer x_buffer = test::uploaded(x);
  const cuda::Buffer weight_buffer = test::uploaded(weight);
  const cuda::Buffer dy_buffer = test::uploaded(dy);
  const cuda::Buffer dx_buffer = test::uploaded(dx);
  const cuda::Buffer dweight_buffer = test::uploaded(dweight);
  const cuda::Buffer dbias_buffer = test::uploaded(dbias);
  const cuda::Buffer scratch =
      test::poisoned<float>(static_cast<std::size_t>(norm_backward_scratch(rows)));
  NormGradientArgs args;
  args.rows = rows;
  args.width = width;
  args.epsilon = 1e-5f;
  NormGradientArgs on_gpu = args;
  args.x = x.data();
  args.weight = weight.data();
  args.dy = dy.data();
  args.dx = dx.data();
  on_gpu.x = x_buffer.data<float>();
  on_gpu.weight = weight_buffer.data<float>();
  on_gpu.dy = dy_buffer.data<float>();
  on_gpu.dx = dx_buffer.data<float>();
  if (with_parameters) {
    args.dweight = dweight.data();
    on_gpu.dweight = dweight_buffer.data<float>();
    if (centred) {
      args.dbias = dbias.data();
      on_gpu.dbias = dbias_buffer.data<float>();
    }
  }
  centred ? layer_norm_backward(args) : rms_norm_backward(args);
  const cuda::Stream stream;
  float* const room = with_parameters ? scratch.data<float>() : nullptr;
  centred ? layer_norm_backward(on_gpu, room, stream.get())
          : rms_norm_backward(on_gpu, room, stream.get());
  stream.synchronize();
  expect_near(test::downloaded<float>(dx_buffer), dx, width, "dx");
  expect_near(test::downloaded<float>(dweight_buffer), dweight, rows, "dweight");
  expect_near(test::downloaded<float>(dbias_buffer), dbias, rows, "dbias");
}

TEST(NormBackwardCuda, GivesWhatTheCpuGives) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const bool centred : {false, true}) {
    for (const bool with_parameters : {false, true}) {
      expect_gradients(1, 4, centred, with_parameters);
      expect_gradients(7, 68, centred, with_parameters);
      expect_gradients(130, 2048, centred, with_parameters);
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
