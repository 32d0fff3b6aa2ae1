#include "kernels/rope/rope_cuda.h"

#include <gtest/gtest.h>

#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

TEST(RopeCuda, RotatesAsTheCpuBothWays) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::int64_t kTokens = 5;
  for (const std::int64_t heads : {1, 9}) {
    for (const std::int64_t head_dim : {2, 80, 128}) {
      std::vector<float> x =
          test::random_floats(static_cast<std::size_t>(kTokens * heads * head_dim), 1);
      const auto angles = static_cast<std::size_t>(kTokens * head_dim / 2);
      const std::vector<float> cosine = test::random_floats(angles, 2);
      const std::vector<float> sine = test::random_floats(angles, 3);
      const cuda::Buffer x_buffer = test::uploaded(x);
      const cuda::Buffer cosine_buffer = test::uploaded(cosine);
      const cuda::Buffer sine_buffer = test::uploaded(sine);
      const RopeArgs args{x.data(), kTokens, heads, head_dim, cosine.data(), sine.data()};
      const RopeArgs on_gpu{
          x_buffer.data<float>(),   kTokens, heads, head_dim, cosine_buffer.data<float>(),
          sine_buffer.data<float>()};
      const cuda::Stream stream;
      const auto expect_same = [&](const char* which) {
        stream.synchronize();
        const std::vector<float> actual = test::downloaded<float>(x_buffer);
        // Two products and a sum, of normal values.
        for (std::size_t i = 0; i < x.size(); ++i)
          ASSERT_NEAR(actual[i], x[i], 1e-5) << which << ", element " << i;
      };
      rope(args);
      rope(on_gpu, stream.get());
      expect_same("forward");
      rope_backward(args);
      rope_backward(on_gpu, stream.get());
      expect_same("backward");
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
