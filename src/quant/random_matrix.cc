#include "quant/random_matrix.h"

#include <algorithm>
#include <cstring>

#include "core/rng.h"
#include "core/threads.h"

namespace plimsoll::quant {

namespace {

// Elements that one random stream fills: results do not depend on the number of threads.
constexpr std::int64_t kStream = 1 << 16;
// Rows encoded. A multiple of 8 (int4's words of zeros), and whole blocks of 64 for any width.
constexpr std::int64_t kSampleRows = 64;

/// Uniform, four values from each random word.
template <class T>
void fill(Tensor& tensor, std::uint64_t seed) {
  constexpr float kScale = 0.02f * 1.7320508f / 32768.0f;
  T* values = tensor.data<T>();
  const std::int64_t streams = (tensor.size() + kStream - 1) / kStream;
  parallel_for(streams, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t stream = first; stream < last; ++stream) {
      Rng rng(seed, static_cast<std::uint64_t>(stream));
      const std::int64_t end = std::min(tensor.size(), (stream + 1) * kStream);
      std::uint64_t word = 0;
      for (std::int64_t i = stream * kStream; i < end; ++i) {
        word = i % 4 == 0 ? rng.next() : word >> 16;
        values[i] =
            from_float<T>(static_cast<float>(static_cast<std::int16_t>(word & 0xffff)) * kScale);
      }
    }
  });
}

Tensor random_tensor(DType dtype, Shape shape, std::uint64_t seed) {
  Tensor tensor = Tensor::empty(dtype, std::move(shape));
  switch (dtype) {
    case DType::f32:
      fill<float>(tensor, seed);
      break;
    case DType::f16:
      fill<plimsoll::fp16>(tensor, seed);
      break;
    case DType::bf16:
      fill<plimsoll::bf16>(tensor, seed);
      break;
    default:
      PLIMSOLL_CHECK(false, "{}", dtype_name(dtype));
  }
  return tensor;
}

/// `sample` [lines, width] repeated along its width (or, one line, along its length) to `shape`.
Tensor repeated(const Tensor& sample, Shape shape, std::int64_t lines) {
  Tensor result = Tensor::empty(sample.dtype(), std::move(shape));
  const std::size_t from = sample.bytes() / static_cast<std::size_t>(lines);
  const std::size_t to = result.bytes() / static_cast<std::size_t>(lines);
  parallel_for(lines, 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto line = static_cast<std::size_t>(begin); line < static_cast<std::size_t>(end);
         ++line) {
      for (std::size_t at = 0; at < to; at += from) {
        std::memcpy(result.raw() + line * to + at, sample.raw() + line * from,
                    std::min(from, to - at));
      }
    }
  });
  return result;
}

}  // namespace

Matrix random_matrix(WeightFormat format, std::int64_t rows, std::int64_t columns,
                     const EncodeOptions& options, std::uint64_t seed) {
  if (is_dense(format)) {
    Matrix matrix;
    matrix.format = format;
    matrix.rows = rows;
    matrix.columns = columns;
    matrix.codes = random_tensor(dense_dtype(format), {rows, columns}, seed);
    return matrix;
  }
  // gptq is laid out as int4; only how its codes are found differs.
  EncodeOptions encode_options = options;
  if (format == WeightFormat::gptq) {
    encode_options.group = 128;
    encode_options.symmetric = true;
  }
  const std::int64_t sample_rows = std::min(rows, kSampleRows);
  Matrix matrix = encode(format == WeightFormat::gptq ? WeightFormat::int4 : format,
                         random_tensor(DType::f32, {sample_rows, columns}, seed), encode_options,
                         "random weights");
  matrix.format = format;
  if (format == WeightFormat::int8_static) matrix.input_scale = 8.0f / 127;
  if (rows == sample_rows) return matrix;

  matrix.rows = rows;
  const std::int64_t count = rows * columns;
  switch (format) {
    case WeightFormat::int4:
    case WeightFormat::gptq: {
      const std::int64_t groups = matrix.scales.dim(0);
      matrix.codes = repeated(matrix.codes, {columns / 8, rows}, columns / 8);
      matrix.scales = repeated(matrix.scales, {groups, rows}, groups);
      matrix.zeros = repeated(matrix.zeros, {groups, rows / 8}, groups);
      return matrix;
    }
    case WeightFormat::int8:
    case WeightFormat::int8_dynamic:
    case WeightFormat::int8_static:
    case WeightFormat::fp8:
      matrix.codes = repeated(matrix.codes, {rows, columns}, 1);
      matrix.scales = repeated(matrix.scales, {rows}, 1);
      return matrix;
    default: {
      const std::int64_t blocks = (count + matrix.block - 1) / matrix.block;
      matrix.codes = repeated(matrix.codes, {count / 2, 1}, 1);
      matrix.scales = repeated(matrix.scales, {blocks}, 1);
      if (matrix.nested_scales.defined()) {
        matrix.nested_scales =
            repeated(matrix.nested_scales.rows(0, 1), {(blocks - 1) / matrix.nested_block + 1}, 1);
      }
      return matrix;
    }
  }
}

}  // namespace plimsoll::quant
