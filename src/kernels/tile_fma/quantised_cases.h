// Random matrices for the linear kernels. For tests and benchmarks only.
#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "kernels/linear_args.h"
#include "quant/codec.h"
#include "quant/matrix.h"

namespace plimsoll::kernels::cases {

struct MatrixOptions {
  int block = 64;                // 4-bit formats: elements a scale
  bool shuffled_groups = false;  // int4, gptq: act-order
  std::uint64_t seed = 1;
};

inline std::vector<float> random_values(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

inline Tensor random_scales(std::int64_t count, Rng& rng) {
  Tensor scales = Tensor::empty(DType::f32, {count});
  for (float& scale : scales.span<float>()) scale = static_cast<float>(0.01 + rng.uniform());
  return scales;
}

inline void fill_bytes(Tensor& tensor, Rng& rng) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(tensor.raw());
  for (std::size_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<std::uint8_t>(rng.next());
}

inline void fill_table4(quant::Matrix& w, bool nested, Rng& rng) {
  const std::int64_t blocks = (w.rows * w.columns + w.block - 1) / w.block;
  w.codes = Tensor::empty(DType::u8, {w.rows * w.columns / 2, 1});
  fill_bytes(w.codes, rng);
  w.table = Tensor::empty(DType::f32, {16});
  for (float& level : w.table.span<float>()) level = static_cast<float>(2 * rng.uniform() - 1);
  // fp4 has a sign bit: codes 0 and 8 are +0 and -0, whatever the map of a checkpoint says.
  w.table.data<float>()[8] = -w.table.data<float>()[0];
  if (!nested) {
    w.scales = random_scales(blocks, rng);
    return;
  }
  w.nested_block = 256;
  w.nested_offset = 0.5f;
  w.scales = Tensor::empty(DType::u8, {blocks});
  fill_bytes(w.scales, rng);
  w.nested_table = Tensor::empty(DType::f32, {256});
  for (float& level : w.nested_table.span<float>())
    level = static_cast<float>(2 * rng.uniform() - 1);
  w.nested_scales = random_scales((blocks + 255) / 256, rng);
}

inline void fill_grouped(quant::Matrix& w, bool shuffled, Rng& rng) {
  const std::int64_t groups = (w.columns + w.block - 1) / w.block;
  w.codes = Tensor::empty(DType::i32, {w.columns / 8, w.rows});
  w.zeros = Tensor::empty(DType::i32, {groups, w.rows / 8});
  fill_bytes(w.codes, rng);
  fill_bytes(w.zeros, rng);
  w.scales = converted(random_scales(groups * w.rows, rng), DType::f16).reshaped({groups, w.rows});
  w.group_index = Tensor::empty(DType::i32, {w.columns});
  auto* index = w.group_index.data<std::int32_t>();
  for (std::int64_t c = 0; c < w.columns; ++c) index[c] = static_cast<std::int32_t>(c / w.block);
  for (std::int64_t c = w.columns - 1; shuffled && c > 0; --c) {  // Fisher-Yates
    std::swap(index[c], index[rng.below(static_cast<std::uint64_t>(c) + 1)]);
  }
}

/// The same weights in fp32.
inline quant::Matrix decoded_matrix(const quant::Matrix& w) {
  quant::Matrix decoded;
  decoded.format = quant::WeightFormat::fp32;
  decoded.rows = w.rows;
  decoded.columns = w.columns;
  decoded.codes = quant::decode(w);
  return decoded;
}

/// Codes from the whole code space, what no encoder writes included (int8: -128; but no NaN in
/// fp8), and random statistics.
inline quant::Matrix random_matrix(quant::WeightFormat format, std::int64_t rows,
                                   std::int64_t columns, const MatrixOptions& options = {}) {
  using quant::WeightFormat;
  Rng rng(options.seed);
  quant::Matrix w;
  w.format = format;
  w.rows = rows;
  w.columns = columns;
  w.block = options.block;
  switch (format) {
    case WeightFormat::nf4:
    case WeightFormat::fp4:
    case WeightFormat::log4:
      fill_table4(w, false, rng);
      break;
    case WeightFormat::nf4_dq:
    case WeightFormat::fp4_dq:
      fill_table4(w, true, rng);
      break;
    case WeightFormat::int4:
    case WeightFormat::gptq:
      fill_grouped(w, options.shuffled_groups, rng);
      break;
    case WeightFormat::fp8:
      w.codes = Tensor::empty(DType::f8_e4m3, {rows, columns});
      fill_bytes(w.codes, rng);
      for (fp8_e4m3& code : w.codes.span<fp8_e4m3>()) {
        if ((code.bits & 0x7fu) == 0x7fu) code.bits ^= 1u;
      }
      w.scales = random_scales(rows, rng);
      break;
    default:
      w.codes = Tensor::empty(DType::i8, {rows, columns});
      fill_bytes(w.codes, rng);
      w.scales = random_scales(rows, rng);
      w.block = 0;
  }
  return w;
}

/// fp32, fp16 or bf16: normally distributed values.
inline quant::Matrix dense_matrix(quant::WeightFormat format, std::int64_t rows,
                                  std::int64_t columns) {
  quant::Matrix w;
  w.format = format;
  w.rows = rows;
  w.columns = columns;
  const std::vector<float> values = random_values(rows * columns, 2);
  w.codes = converted(Tensor::from<float>(values, {rows, columns}), quant::dense_dtype(format));
  return w;
}

/// How far a fp32 product of decoded weights may be from the oracle's: the usual bound
/// (terms in a chain) * 2^-24 * sum of |x w| (Higham, Accuracy and Stability, ch. 3). A chain holds
/// an eighth of the columns (the narrowest register has 8 lanes), decoding and the reduction of
/// lanes add a few.
inline std::vector<float> fp32_bounds(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const Tensor decoded = quant::decode(w);
  const double unit = (static_cast<double>(w.columns) / 8 + 16) * 0x1p-24;
  std::vector<float> bounds;
  for (std::int64_t r = 0; r < args.rows; ++r) {
    for (std::int64_t n = 0; n < w.rows; ++n) {
      const float* weights = decoded.data<float>() + n * w.columns;
      double sum = 0;
      for (std::int64_t k = 0; k < w.columns; ++k) {
        sum += std::fabs(static_cast<double>(args.x[r * w.columns + k]) * weights[k]);
      }
      bounds.push_back(static_cast<float>(sum * unit));
    }
  }
  return bounds;
}

}  // namespace plimsoll::kernels::cases
