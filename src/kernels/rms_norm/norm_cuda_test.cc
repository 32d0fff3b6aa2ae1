#include "kernels/rms_norm/norm_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "kernels/attention/attention_cases.h"
#include "kernels/layer_norm/layer_norm.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

void expect_oracle(std::int64_t rows, std::int64_t width, bool centred, bool with_bias) {
  std::vector<float> x = cases::normal_values(rows * width, 1);
  for (float& value : x) value = value * 1e-2f + (centred ? 3.0f : 0.0f);
  const std::vector<float> weight = cases::normal_values(width, 2);
  const std::vector<float> bias = cases::normal_values(width, 3);
  // The CPU's always has a bias.
  const std::vector<float> zero(static_cast<std::size_t>(width), 0.0f);
  std::vector<float> expected(x.size());
  const NormArgs oracle{
      x.data(), rows,           width, weight.data(), (with_bias ? bias : zero).data(),
      1e-5f,    expected.data()};
  centred ? layer_norm_ref(oracle) : rms_norm_ref(oracle);
  const cuda::Buffer in = cuda::Buffer::of<float>(x, "a test");
  const cuda::Buffer weight_buffer = cuda::Buffer::of<float>(weight, "a test");
  const cuda::Buffer bias_buffer = cuda::Buffer::of<float>(bias, "a test");
  cuda::Buffer out(in.bytes(), "a test");
  out.fill(0xff);
  for (const bool in_place : {false, true}) {
    const cuda::Buffer& to = in_place ? in : out;
    const DeviceNormArgs args{in.data<float>(),
                              rows,
                              width,
                              weight_buffer.data<float>(),
                              with_bias ? bias_buffer.data<float>() : nullptr,
                              1e-5f,
                              to.data<float>()};
    const cuda::Stream stream;
    centred ? layer_norm(args, stream.get()) : rms_norm(args, stream.get());
    stream.synchronize();
    std::vector<float> actual(x.size());
    to.download(actual.data(), to.bytes(), 0);
    for (std::size_t i = 0; i < actual.size(); ++i) {
      // Off by some units of x, that is 3, over the deviation, that is 0.01.
      const float bound = centred ? 2e-4f : 1e-6f;
      ASSERT_NEAR(actual[i], expected[i], bound * (1 + std::fabs(expected[i])))
          << width << " wide, element " << i;
    }
  }
}

TEST(NormCuda, RowsOfEveryWidth) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const std::int64_t width : {4, 64, 768, 1024, 4096, 16384}) {
    for (const std::int64_t rows : {1, 5}) {
      expect_oracle(rows, width, false, false);
      expect_oracle(rows, width, true, true);
      expect_oracle(rows, width, true, false);
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
