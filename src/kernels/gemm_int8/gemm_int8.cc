#include "kernels/gemm_int8/gemm_int8.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/threads.h"
#include "kernels/gemm_int8/gemm_int8_isa.h"
#include "kernels/gemm_int8/gemm_int8_ref.h"
#include "kernels/gemm_int8/int8_activations.h"
#include "quant/int8.h"

namespace plimsoll::kernels {

namespace {

using quant::WeightFormat;

// |code - zero| <= 255, |weight| <= 128: 2^16 products fit an int32.
constexpr std::int64_t kMostColumns = 1 << 16;
// Output rows at once: their weights fit an L2, and the activations are read once for all of them.
constexpr std::int64_t kPanel = 48;

struct Int8Kernel {
  void (*product)(const Int8ProductArgs&);
  Int8Activations (*quantize)(const LinearArgs&);
  // The codes' offset, which the product of the row of ones takes off; 0: there is no such row.
  std::int32_t offset;
};

// y[r][n] += the outlier columns' part, for outputs [begin, end). The weights of those columns lie
// [outlier][output], so that the sum runs along outputs.
void add_outliers(const LinearArgs& args, const Int8Activations& x, std::int64_t begin,
                  std::int64_t end, std::vector<float>& buffer) {
  const quant::Matrix& w = *args.weight;
  const std::int64_t outputs = end - begin;
  const std::int8_t* codes = w.codes.data<std::int8_t>();
  const float* scales = w.scales.data<float>();
  buffer.resize(x.outlier_columns.size() * static_cast<std::size_t>(outputs));
  float* weights = buffer.data();
  for (const std::int32_t column : x.outlier_columns) {
    for (std::int64_t n = begin; n < end; ++n) {
      *weights++ = quant::int8_weight(codes[n * w.columns + column], scales[n]);
    }
  }
  quant::outlier_factors(buffer.data(), static_cast<std::int64_t>(buffer.size()), w.source_dtype);
  for (std::int64_t r = 0; r < args.rows; ++r) {
    float* y = args.y + r * w.rows + begin;
    for (const Outlier& outlier : x.outliers[static_cast<std::size_t>(r)]) {
      const float* column = buffer.data() + outlier.index * outputs;
      for (std::int64_t n = 0; n < outputs; ++n) y[n] += outlier.value * column[n];
    }
  }
}

// y[r][n] of outputs [begin, end) from the integer sums, in the order of products of
// quant::int8_linear_reference.
void scale_sums(const LinearArgs& args, const Int8Activations& x, const Int8Kernel& kernel,
                const std::int32_t* sums, std::int64_t sums_stride, std::int64_t begin,
                std::int64_t end) {
  const quant::Matrix& w = *args.weight;
  const float* scales = w.scales.data<float>();
  const auto offset = static_cast<std::uint32_t>(kernel.offset + zero_point(w));
  for (std::int64_t n = begin; n < end; ++n, sums += sums_stride) {
    // Sums may have wrapped; what is left without the offset fits.
    const std::uint32_t excess =
        kernel.offset == 0 ? 0 : offset * static_cast<std::uint32_t>(sums[args.rows]);
    for (std::int64_t r = 0; r < args.rows; ++r) {
      const auto sum = static_cast<float>(
          static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[r]) - excess));
      args.y[r * w.rows + n] =
          x.absmax.empty()
              ? sum * w.input_scale * (scales[n] * quant::kInt8WeightScale)
              : sum * x.absmax[static_cast<std::size_t>(r)] * scales[n] * quant::kInt8ProductScale;
    }
  }
}

void run(const Int8Kernel& kernel, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  PLIMSOLL_CHECK(w.codes.size() == w.rows * w.columns && w.scales.size() == w.rows);
  PLIMSOLL_CHECK(zero_point(w) >= -128 && zero_point(w) <= 127, "zero point {}", zero_point(w));
  const Int8Activations x = kernel.quantize(args);
  const std::int64_t packed_rows = x.codes.dim(0);
  const std::int64_t sums_stride = (packed_rows + 3) / 4 * 4;
  parallel_for(w.rows, 16, [&](std::int64_t first, std::int64_t last) {
    std::vector<std::int32_t> sums(static_cast<std::size_t>(kPanel * sums_stride));
    std::vector<float> outlier_weights;
    for (std::int64_t begin = first; begin < last; begin += kPanel) {
      const std::int64_t end = std::min(begin + kPanel, last);
      kernel.product({x.codes.raw(), x.stride, packed_rows,
                      w.codes.data<std::int8_t>() + begin * w.columns, w.columns, end - begin,
                      sums.data(), sums_stride});
      scale_sums(args, x, kernel, sums.data(), sums_stride, begin, end);
      if (!x.outlier_columns.empty()) add_outliers(args, x, begin, end, outlier_weights);
    }
  });
}

Support fits_int32(const LinearArgs& args) {
  const std::int64_t columns = args.weight->columns;
  if (columns <= kMostColumns) return Support::yes();
  return Support::no(fmt::format("{} columns: more than {}", columns, kMostColumns));
}

constexpr Int8Kernel kAvx2{int8_product_avx2, quantize_to_i16, 0};
constexpr Int8Kernel kAvx512{int8_product_avx512, quantize_to_u8, kInt8Offset};

const std::array<KernelVariant<LinearArgs>, 3> kVariants{{
    {"gemm_int8_avx512", Isa::avx512, fits_int32,
     [](const LinearArgs& args) { run(kAvx512, args); }},
    {"gemm_int8_avx2", Isa::avx2, fits_int32, [](const LinearArgs& args) { run(kAvx2, args); }},
    {"gemm_int8_scalar", Isa::scalar, nullptr, gemm_int8_scalar},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_int8_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
