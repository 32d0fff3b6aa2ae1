#include "quant/int4.h"

#include <algorithm>
#include <vector>

#include "core/threads.h"
#include "quant/rounding.h"

namespace plimsoll::quant {

namespace {

constexpr int kSteps = 15;

// The f16 nearest to `scale`, but not 0: a group that is not all zeros must have a step.
float f16_scale(float scale, std::string_view name) {
  constexpr float kLargestF16 = 65504.0f;
  if (!(scale <= kLargestF16)) {
    throw InputError(name, "scale of a group", fmt::format("{}", scale),
                     "at most 65504, the largest f16");
  }
  return std::max(round_to_f16(scale), 0x1p-24f);
}

}  // namespace

int GroupGrid::code(float value) const {
  const float steps = std::clamp(value / scale, -16.0f, 16.0f);
  return std::clamp(static_cast<int>(round_even(steps)) + zero, 0, kSteps);
}

GroupGrid group_grid(float lowest, float highest, bool symmetric, std::string_view name) {
  lowest = std::min(lowest, 0.0f);
  highest = std::max(highest, 0.0f);
  if (lowest == highest) return {};
  // Divided before they are added: the difference of two large floats could overflow.
  if (symmetric) {
    const float absmax = std::max(-lowest, highest);
    return {f16_scale(absmax / kSteps * 2.0f, name), 8};
  }
  const float scale = f16_scale(highest / kSteps - lowest / kSteps, name);
  const auto zero = static_cast<int>(round_even(std::min(-lowest / scale, 15.0f)));
  if (zero > 0) return {scale, zero};
  // Less than half a step below zero: one code for it, 14 steps above.
  return {f16_scale(highest / (kSteps - 1), name), 1};
}

GroupGrid group_grid(const float* values, std::int64_t count, bool symmetric,
                     std::string_view name) {
  float lowest = 0;
  float highest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    lowest = std::min(lowest, values[i]);
    highest = std::max(highest, values[i]);
  }
  return group_grid(lowest, highest, symmetric, name);
}

Matrix make_grouped(WeightFormat format, std::int64_t rows, std::int64_t columns, int group) {
  Matrix matrix;
  matrix.format = format;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.block = group;
  const std::int64_t groups = (columns + group - 1) / group;
  matrix.codes = Tensor::zeros(DType::i32, {columns / 8, rows});
  matrix.scales = Tensor::zeros(DType::f16, {groups, rows});
  matrix.zeros = Tensor::zeros(DType::i32, {groups, rows / 8});
  matrix.group_index = Tensor::empty(DType::i32, {columns});
  for (std::int64_t c = 0; c < columns; ++c) {
    matrix.group_index.data<std::int32_t>()[c] = static_cast<std::int32_t>(c / group);
  }
  return matrix;
}

void store_grouped_row(Matrix& matrix, std::int64_t row, std::span<const std::uint8_t> codes,
                       std::span<const GroupGrid> grids) {
  auto* words = matrix.codes.data<std::int32_t>();
  for (std::size_t word = 0; word < codes.size() / 8; ++word) {
    std::uint32_t packed = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      packed |= static_cast<std::uint32_t>(codes[8 * word + i]) << (4 * i);
    }
    words[static_cast<std::int64_t>(word) * matrix.rows + row] = static_cast<std::int32_t>(packed);
  }
  auto* scales = matrix.scales.data<fp16>();
  auto* zeros = matrix.zeros.data<std::int32_t>();
  for (std::size_t g = 0; g < grids.size(); ++g) {
    const auto group = static_cast<std::int64_t>(g);
    scales[group * matrix.rows + row] = to_fp16(grids[g].scale);
    std::int32_t& word = zeros[group * (matrix.rows / 8) + row / 8];
    const auto stored = static_cast<std::uint32_t>(grids[g].zero - 1) << (4 * (row % 8));
    word = static_cast<std::int32_t>(static_cast<std::uint32_t>(word) | stored);
  }
}

Matrix encode_int4(const Tensor& weights, const EncodeOptions& options, std::string_view name) {
  const std::int64_t rows = weights.dim(0);
  const std::int64_t columns = weights.dim(1);
  const int group = options.group;
  Matrix matrix = make_grouped(WeightFormat::int4, rows, columns, group);
  matrix.source_dtype = weights.dtype();
  parallel_for(rows / 8, 1 + (1 << 11) / columns, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(columns));
    std::vector<std::uint8_t> codes(values.size());
    std::vector<GroupGrid> grids(static_cast<std::size_t>(matrix.scales.dim(0)));
    for (std::int64_t row = 8 * begin; row < 8 * end; ++row) {
      load_weights(weights, row * columns, columns, weights.dtype(), name, values.data());
      for (std::size_t g = 0; g < grids.size(); ++g) {
        const std::int64_t first = static_cast<std::int64_t>(g) * group;
        const std::int64_t last = std::min(first + group, columns);
        const GroupGrid grid =
            group_grid(values.data() + first, last - first, options.symmetric, name);
        grids[g] = grid;
        for (std::int64_t c = first; c < last; ++c) {
          codes[c] = static_cast<std::uint8_t>(grid.code(values[c]));
        }
      }
      store_grouped_row(matrix, row, codes, grids);
    }
  });
  return matrix;
}

void decode_grouped_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out) {
  const auto* codes = matrix.codes.data<std::int32_t>();
  const auto* zeros = matrix.zeros.data<std::int32_t>();
  const auto* scales = matrix.scales.data<fp16>();
  const auto* groups = matrix.group_index.data<std::int32_t>();
  for (std::int64_t row = begin; row < end; ++row) {
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      const GroupGrid grid = {to_float(scales[groups[c] * matrix.rows + row]),
                              grouped_zero(zeros, matrix.rows, groups[c], row)};
      *out++ = grid.value(grouped_code(codes, matrix.rows, row, c));
    }
  }
}

}  // namespace plimsoll::quant
