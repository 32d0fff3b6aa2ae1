#include "kernels/round_rows/round_rows_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "core/dtype.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/tile_fma/quantised_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels::round_rows {
namespace {

using cuda::Element;

enum class Norm : std::uint8_t { none, rms, layer };

void expect_rounded(std::int64_t rows, int columns, Element element, Norm norm) {
  std::vector<float> x = cases::random_values(rows * columns, 1);
  for (float& value : x) value = value * 0.01f + 0.02f;
  x[1] = norm == Norm::none ? 1e6f : x[1];  // beyond f16
  const std::vector<float> weight = cases::random_values(columns, 2);
  const std::vector<float> bias = cases::random_values(columns, 3);
  std::vector<float> expected = x;
  if (norm == Norm::rms) {
    rms_norm_ref({x.data(), rows, columns, weight.data(), nullptr, 1e-5f, expected.data()});
  } else if (norm == Norm::layer) {
    layer_norm_ref({x.data(), rows, columns, weight.data(), bias.data(), 1e-5f, expected.data()});
  }
  const cuda::Buffer x_buffer = cuda::Buffer::of<float>(x, "a test");
  const cuda::Buffer weight_buffer = cuda::Buffer::of<float>(weight, "a test");
  const cuda::Buffer bias_buffer = cuda::Buffer::of<float>(bias, "a test");
  const auto bytes = static_cast<std::size_t>(cuda::element_bytes(element));
  cuda::Buffer out(x.size() * bytes, "a test");
  out.fill(0xff);  // NaN
  Args args;
  args.x = x_buffer.data<float>();
  args.rows = rows;
  args.columns = columns;
  args.norm = norm == Norm::none ? nullptr : weight_buffer.data<float>();
  args.norm_bias = norm == Norm::layer ? bias_buffer.data<float>() : nullptr;
  args.epsilon = 1e-5f;
  args.element = element;
  args.out = out.data();
  const cuda::Stream stream;
  run(args, stream.get());
  stream.synchronize();
  std::vector<std::byte> raw(out.bytes());
  out.download(raw.data(), raw.size(), 0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::byte* at = raw.data() + i * bytes;
    const float actual = element == Element::f32   ? *reinterpret_cast<const float*>(at)
                         : element == Element::f16 ? to_float(*reinterpret_cast<const fp16*>(at))
                                                   : to_float(*reinterpret_cast<const bf16*>(at));
    float value = expected[i];
    if (element == Element::f16) value = std::fmin(value, 65504.0f);
    const float unit = element == Element::f16 ? 0x1p-11f : element == Element::bf16 ? 0x1p-8f : 0;
    // A norm's statistics are sums in another order.
    const float of_norm = norm == Norm::none ? 0 : 0x1p-18f * (1 + std::fabs(value));
    ASSERT_LE(std::fabs(actual - value), unit * std::fabs(value) + of_norm + 0x1p-24f)
        << "element " << i << " of " << columns << " columns: " << actual << ", " << value;
  }
}

TEST(RoundRowsCuda, EveryNormAndElement) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const Element element : {Element::f16, Element::bf16, Element::f32}) {
    for (const Norm norm : {Norm::none, Norm::rms, Norm::layer}) {
      expect_rounded(3, 8, element, norm);
      expect_rounded(70, 1024, element, norm);
      expect_rounded(2, 14336, element, norm);
    }
  }
}

TEST(RoundRowsCuda, AnyWidthIntoAnyOrder) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_rounded(3, 77, Element::f16, Norm::layer);
  expect_rounded(3, 77, Element::f32, Norm::rms);
  constexpr int kColumns = 77;
  constexpr int kOut = 96;
  const std::vector<float> x = cases::random_values(2 * kColumns, 1);
  std::vector<std::int32_t> gather(kOut, -1);
  for (int i = 0; i < kColumns; ++i) gather[static_cast<std::size_t>(i * 5 % kOut)] = i;
  const cuda::Buffer x_buffer = cuda::Buffer::of<float>(x, "a test");
  const cuda::Buffer gather_buffer = cuda::Buffer::of<std::int32_t>(gather, "a test");
  for (const bool gathers : {false, true}) {
    cuda::Buffer out(2 * kOut * sizeof(float), "a test");
    out.fill(0xff);  // NaN
    Args args;
    args.x = x_buffer.data<float>();
    args.rows = 2;
    args.columns = kColumns;
    args.element = Element::f32;
    args.out_columns = kOut;
    args.gather = gathers ? gather_buffer.data<std::int32_t>() : nullptr;
    args.out = out.data();
    const cuda::Stream stream;
    run(args, stream.get());
    stream.synchronize();
    std::vector<float> actual(2 * kOut);
    out.download(actual.data(), out.bytes(), 0);
    for (int i = 0; i < 2 * kOut; ++i) {
      const int from = gathers ? gather[static_cast<std::size_t>(i % kOut)] : i % kOut;
      const bool there = from >= 0 && from < kColumns;
      const int at = i / kOut * kColumns + from;
      EXPECT_EQ(actual[static_cast<std::size_t>(i)], there ? x[static_cast<std::size_t>(at)] : 0);
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels::round_rows
