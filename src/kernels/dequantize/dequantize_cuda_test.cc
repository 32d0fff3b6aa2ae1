#include "kernels/dequantize/dequantize_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/dtype.h"
#include "kernels/gemv/gemv_cuda_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels::dequantize {
namespace {

using cuda::Element;
using quant::Matrix;
using quant::WeightFormat;

float rounded(float value, Element element) {
  if (element == Element::f32) return value;
  if (element == Element::bf16) return to_float(to_bf16(value));
  return to_float(to_fp16(std::clamp(value, -65504.0f, 65504.0f)));
}

std::vector<float> decode_on_gpu(const gemv::DeviceWeights& weights, Element element,
                                 std::int64_t begin, std::int64_t end) {
  const auto count = static_cast<std::size_t>((end - begin) * weights.columns);
  cuda::Buffer out(count * static_cast<std::size_t>(cuda::element_bytes(element)), "a test");
  out.fill(0xff);  // NaN
  Args args;
  args.weights = &weights;
  args.element = element;
  args.row_begin = begin;
  args.row_end = end;
  args.out = out.data();
  const cuda::Stream stream;
  run(args, stream.get());
  stream.synchronize();
  std::vector<float> values(count);
  if (element == Element::f32) {
    out.download(values.data(), out.bytes(), 0);
    return values;
  }
  std::vector<std::uint16_t> bits(count);
  out.download(bits.data(), out.bytes(), 0);
  std::transform(bits.begin(), bits.end(), values.begin(), [&](std::uint16_t value) {
    return element == Element::bf16 ? to_float(bf16{value}) : to_float(fp16{value});
  });
  return values;
}

void expect_decoded(const Matrix& w, const gemv::Order& order, std::int64_t begin,
                    std::int64_t end) {
  const std::vector<const Matrix*> parts{&w};
  const gemv::UploadedWeights weights(gemv::pack(parts, order), "a test");
  const Tensor decoded = quant::decode(w);
  for (const Element element : {Element::f16, Element::bf16, Element::f32}) {
    const std::vector<float> actual = decode_on_gpu(weights.view(), element, begin, end);
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const std::size_t at = static_cast<std::size_t>(begin * w.columns) + i;
      ASSERT_EQ(actual[i], rounded(decoded.data<float>()[at], element))
          << quant::format_name(w.format) << ": element " << at;
    }
  }
}

TEST(DequantizeCuda, GivesWhatTheCodecGives) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : gemv::kFormats) {
    const Matrix w = gemv::make_matrix(format, 96, 448, 3);
    expect_decoded(w, gemv::plain(w), 0, w.rows);
    expect_decoded(w, gemv::plain(w), 21, 70);
    expect_decoded(w, {gemv::Pairing::halves, 0, w.rows}, 0, w.rows);
    expect_decoded(w, {gemv::Pairing::halves, 0, w.rows}, 40, 56);
    expect_decoded(w, {gemv::Pairing::heads, 32, w.rows}, 3, 90);
  }
}

TEST(DequantizeCuda, ARowAcrossTwoNestedScalesAndShortGroups) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix nested = gemv::make_matrix(WeightFormat::nf4_dq, 90, 192, 4);
  expect_decoded(nested, gemv::plain(nested), 0, 90);
  const Matrix grouped = cases::random_matrix(WeightFormat::int4, 24, 328,
                                              {.block = 32, .shuffled_groups = true, .seed = 11});
  expect_decoded(grouped, gemv::plain(grouped), 0, 24);
}

}  // namespace
}  // namespace plimsoll::kernels::dequantize
