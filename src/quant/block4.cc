#include "quant/block4.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "core/threads.h"
#include "quant/cuda_reciprocal.h"
#include "quant/dynamic_map.h"
#include "quant/rounding.h"

namespace plimsoll::quant {

namespace {

constexpr std::array<float, 16> kNf4Levels = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
// Code c is chosen when x exceeds exactly c of these. They are the midpoints of the levels in f64,
// as bitsandbytes has them: up to an ulp from what f32 gives.
constexpr std::array<float, 15> kNf4Thresholds = {
    -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
    -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
    0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
    0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f,
};

// A sign bit (8) and a magnitude: the rank of |x| among seven thresholds, spelled as a code.
struct MagnitudeTable {
  std::array<float, 7> thresholds;
  std::array<std::uint8_t, 8> code_of_rank;
};

// In twelfths: 0, 1/16, 2, 3, 4, 6, 8, 12. bitsandbytes' decimals, which round as f32 literals do.
constexpr MagnitudeTable kFp4 = {
    {0.00260417f, 0.0859375f, 0.20833333f, 0.29166667f, 0.4166667f, 0.583333f, 0.8333333f},
    {0, 1, 6, 7, 4, 5, 2, 3},
};
constexpr std::array<float, 16> kFp4Levels = {
    0.0f, 0.005208333333f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
    0.0f, -0.005208333333f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f,
};

constexpr MagnitudeTable kLog4 = {
    {0x1p-7f, 0x1.8p-6f, 0x1.8p-5f, 0x1.8p-4f, 0x1.8p-3f, 0x1.8p-2f, 0x1.8p-1f},
    {0, 1, 2, 3, 4, 5, 6, 7},
};
constexpr std::array<float, 16> kLog4Levels = {
    0.0f,  0x1p-6f,  0x1p-5f,  0x1p-4f,  0x1p-3f,  0x1p-2f,  0x1p-1f,  1.0f,
    -0.0f, -0x1p-6f, -0x1p-5f, -0x1p-4f, -0x1p-3f, -0x1p-2f, -0x1p-1f, -1.0f,
};

bool is_nested(WeightFormat format) {
  return format == WeightFormat::nf4_dq || format == WeightFormat::fp4_dq;
}

// How many thresholds each |value| or value exceeds. Thresholds outside, values inside: the inner
// loop has no branch and becomes compares and subtractions of whole vectors.
template <std::size_t N>
void count_exceeded(const std::array<float, N>& thresholds, const float* values,
                    std::int32_t* counts) {
  std::fill_n(counts, kBlock4, 0);
  for (const float threshold : thresholds) {
    for (int i = 0; i < kBlock4; ++i) counts[i] += values[i] > threshold ? 1 : 0;
  }
}

void magnitude_codes(const MagnitudeTable& table, const float* values, std::int32_t* codes) {
  std::array<float, kBlock4> magnitudes;
  for (int i = 0; i < kBlock4; ++i) magnitudes[i] = std::fabs(values[i]);
  count_exceeded(table.thresholds, magnitudes.data(), codes);
  for (int i = 0; i < kBlock4; ++i) {
    codes[i] = table.code_of_rank[codes[i]] | (values[i] < 0 ? 8 : 0);
  }
}

void block_codes(WeightFormat format, const float* values, std::int32_t* codes) {
  switch (format) {
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
      return count_exceeded(kNf4Thresholds, values, codes);
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
      return magnitude_codes(kFp4, values, codes);
    case WeightFormat::log4:
      return magnitude_codes(kLog4, values, codes);
    default:
      PLIMSOLL_CHECK(false, "{} has no table", format_name(format));
  }
}

float largest_magnitude(const float* values, std::int64_t count) {
  float largest = 0;
  for (std::int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(values[i]));
  // A subnormal has no finite reciprocal. CUDA built with flush-to-zero takes it for 0, and so do
  // we.
  return largest < std::numeric_limits<float>::min() ? 0.0f : largest;
}

// values[count <= 64] into (count + 1) / 2 bytes; returns absmax. Overwrites the values.
float encode_block(WeightFormat format, float* values, std::int64_t count, std::uint8_t* bytes) {
  std::fill(values + count, values + kBlock4, 0.0f);
  const float absmax = largest_magnitude(values, count);
  std::array<std::int32_t, kBlock4> codes{};
  if (absmax > 0) {
    const float inverse = cuda_reciprocal(absmax);
    for (int i = 0; i < kBlock4; ++i) values[i] *= inverse;
    block_codes(format, values, codes.data());
  }
  for (std::int64_t i = 0; i < (count + 1) / 2; ++i) {
    bytes[i] = static_cast<std::uint8_t>(codes[2 * i] << 4 | codes[2 * i + 1]);
  }
  return absmax;
}

// Replaces the f32 scales by 8-bit codes. Sequential: the mean must not depend on the thread count,
// and there is one scale for 64 weights.
void nest_scales(Matrix& matrix) {
  const std::span<float> scales = matrix.scales.span<float>();
  const auto count = static_cast<std::int64_t>(scales.size());
  double sum = 0;
  for (const float scale : scales) sum += scale;
  // torch.mean on CUDA multiplies by the reciprocal of the count, both in f32.
  const float mean = static_cast<float>(sum) * (1.0f / static_cast<float>(count));
  for (float& scale : scales) scale -= mean;

  Tensor codes = Tensor::empty(DType::u8, {count});
  const std::int64_t blocks = (count + kNestedBlock - 1) / kNestedBlock;
  matrix.nested_scales = Tensor::empty(DType::f32, {blocks});
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t begin = block * kNestedBlock;
    const std::int64_t end = std::min(begin + kNestedBlock, count);
    const float absmax = largest_magnitude(scales.data() + begin, end - begin);
    matrix.nested_scales.data<float>()[block] = absmax;
    const float inverse = absmax > 0 ? cuda_reciprocal(absmax) : 0.0f;
    for (std::int64_t i = begin; i < end; ++i) {
      codes.data<std::uint8_t>()[i] = absmax > 0 ? dynamic_code(scales[i] * inverse) : 0;
    }
  }
  matrix.scales = codes;
  matrix.nested_table = Tensor::from<float>(dynamic_map(), {256});
  matrix.nested_offset = mean;
  matrix.nested_block = kNestedBlock;
}

// The levels as bitsandbytes' kernels decode them: fp4's take sign and magnitude apart, so that
// code 8 is -0 though the map that goes with it says 0.
std::array<float, 16> decoding_table(const Matrix& matrix) {
  std::array<float, 16> table;
  std::copy_n(matrix.table.data<float>(), table.size(), table.begin());
  if (matrix.format == WeightFormat::fp4 || matrix.format == WeightFormat::fp4_dq) {
    table[8] = -table[0];
  }
  return table;
}

float block_scale(const Matrix& matrix, std::int64_t block) {
  if (!is_nested(matrix.format)) return matrix.scales.data<float>()[block];
  const float nested = matrix.nested_scales.data<float>()[block / matrix.nested_block];
  const std::uint8_t code = matrix.scales.data<std::uint8_t>()[block];
  return matrix.nested_table.data<float>()[code] * nested + matrix.nested_offset;
}

}  // namespace

std::span<const float> block4_levels(WeightFormat format) {
  switch (format) {
    case WeightFormat::nf4:
    case WeightFormat::nf4_dq:
      return kNf4Levels;
    case WeightFormat::fp4:
    case WeightFormat::fp4_dq:
      return kFp4Levels;
    case WeightFormat::log4:
      return kLog4Levels;
    default:
      PLIMSOLL_CHECK(false, "{} has no table", format_name(format));
  }
}

Matrix encode_block4(WeightFormat format, const Tensor& weights, const EncodeOptions& options,
                     std::string_view name) {
  Matrix matrix;
  matrix.format = format;
  matrix.rows = weights.dim(0);
  matrix.columns = weights.dim(1);
  // log4 is not bitsandbytes' and encodes the weights as they are.
  matrix.source_dtype = format == WeightFormat::log4 ? weights.dtype() : options.source_dtype;
  matrix.block = kBlock4;
  matrix.table = Tensor::from<float>(block4_levels(format), {16});

  const std::int64_t count = weights.size();
  const std::int64_t blocks = (count + kBlock4 - 1) / kBlock4;
  matrix.codes = Tensor::empty(DType::u8, {(count + 1) / 2, 1});
  matrix.scales = Tensor::empty(DType::f32, {blocks});
  auto* codes = matrix.codes.data<std::uint8_t>();
  auto* scales = matrix.scales.data<float>();
  parallel_for(blocks, 256, [&](std::int64_t begin, std::int64_t end) {
    std::array<float, kBlock4> values;
    for (std::int64_t block = begin; block < end; ++block) {
      const std::int64_t first = block * kBlock4;
      const std::int64_t length = std::min<std::int64_t>(kBlock4, count - first);
      load_weights(weights, first, length, matrix.source_dtype, name, values.data());
      scales[block] = encode_block(format, values.data(), length, codes + first / 2);
    }
  });
  if (is_nested(format)) nest_scales(matrix);
  return matrix;
}

void decode_block4_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out) {
  const auto* codes = matrix.codes.data<std::uint8_t>();
  const std::array<float, 16> table = decoding_table(matrix);
  const std::int64_t first = begin * matrix.columns;
  const std::int64_t last = end * matrix.columns;
  for (std::int64_t i = first; i < last;) {
    const std::int64_t block = i / matrix.block;
    const float scale = block_scale(matrix, block);
    const std::int64_t stop = std::min(last, (block + 1) * matrix.block);
    for (; i < stop; ++i) out[i - first] = table[block4_code(codes, i)] * scale;
  }
}

std::vector<float> block4_scales(const Matrix& matrix) {
  const std::int64_t count = matrix.rows * matrix.columns;
  std::vector<float> scales(static_cast<std::size_t>((count + matrix.block - 1) / matrix.block));
  for (std::size_t block = 0; block < scales.size(); ++block) {
    scales[block] = block_scale(matrix, static_cast<std::int64_t>(block));
  }
  return scales;
}

}  // namespace plimsoll::quant
