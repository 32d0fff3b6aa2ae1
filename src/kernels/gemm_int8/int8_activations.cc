#include "kernels/gemm_int8/int8_activations.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "core/threads.h"
#include "quant/int8.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kRowAlignment = 64;

void find_outliers(const LinearArgs& args, Int8Activations& activations) {
  const quant::Matrix& w = *args.weight;
  activations.outlier_columns =
      quant::outlier_columns(args.x, args.rows, w.columns, w.outlier_threshold);
  if (activations.outlier_columns.empty()) return;
  activations.outliers.resize(static_cast<std::size_t>(args.rows));
  for (std::int64_t r = 0; r < args.rows; ++r) {
    std::vector<Outlier>& row = activations.outliers[static_cast<std::size_t>(r)];
    for (std::size_t i = 0; i < activations.outlier_columns.size(); ++i) {
      const float x = args.x[r * w.columns + activations.outlier_columns[i]];
      if (!w.outliers_by_batch && std::fabs(x) < w.outlier_threshold) continue;
      row.push_back({static_cast<std::int32_t>(i), quant::outlier_factor(x, w.source_dtype)});
    }
  }
}

template <class Code>
Int8Activations quantize(const LinearArgs& args, std::int32_t offset, std::int64_t extra_rows) {
  const quant::Matrix& w = *args.weight;
  Int8Activations activations;
  activations.stride = (w.columns + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  activations.codes =
      Tensor::zeros(DTypeOf<Code>::kValue, {args.rows + extra_rows, activations.stride});
  const bool is_static = w.format == quant::WeightFormat::int8_static;
  if (!is_static) {
    activations.absmax.resize(static_cast<std::size_t>(args.rows));
    find_outliers(args, activations);
  }
  parallel_for(args.rows, 4, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int8_t> codes(static_cast<std::size_t>(w.columns));
    for (std::int64_t r = begin; r < end; ++r) {
      const std::span<const float> x(args.x + r * w.columns, codes.size());
      if (is_static) {
        const float scale = w.input_scale;  // copies: stores to codes cannot change them
        const std::int32_t zero = w.input_zero;
        std::transform(x.begin(), x.end(), codes.begin(),
                       [&](float value) { return quant::quantize_static(value, scale, zero); });
      } else {
        activations.absmax[static_cast<std::size_t>(r)] =
            quant::quantize_token(x, w.outlier_threshold, codes.data());
        if (w.outliers_by_batch) {
          for (const std::int32_t c : activations.outlier_columns) {
            codes[static_cast<std::size_t>(c)] = 0;
          }
        }
      }
      std::transform(codes.begin(), codes.end(),
                     activations.codes.data<Code>() + r * activations.stride,
                     [&](std::int8_t code) { return static_cast<Code>(code + offset); });
    }
  });
  return activations;
}

}  // namespace

std::int32_t zero_point(const quant::Matrix& weight) {
  return weight.format == quant::WeightFormat::int8_static ? weight.input_zero : 0;
}

Int8Activations quantize_to_i16(const LinearArgs& args) {
  return quantize<std::int16_t>(args, -zero_point(*args.weight), 0);
}

Int8Activations quantize_to_u8(const LinearArgs& args) {
  Int8Activations activations = quantize<std::uint8_t>(args, kInt8Offset, 1);
  std::uint8_t* ones = activations.codes.data<std::uint8_t>() + args.rows * activations.stride;
  std::fill(ones, ones + activations.stride, std::uint8_t{1});
  return activations;
}

}  // namespace plimsoll::kernels
