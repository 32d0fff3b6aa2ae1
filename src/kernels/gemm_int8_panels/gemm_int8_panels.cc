#include "kernels/gemm_int8_panels/gemm_int8_panels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/gemm_int8_panels/gemm_int8_panels_isa.h"
#include "kernels/panels/row_tiles.h"
#include "quant/int8.h"

namespace plimsoll::kernels {

namespace {

using quant::WeightFormat;

struct Outlier {
  std::int32_t column;
  float value;  // rounded to the weights' source dtype
};

// The rows of x, quantised as quant/int8.h says.
class QuantizedRows {
 public:
  QuantizedRows(const Int8PanelKernels& kernels, const LinearArgs& args)
      : kernels_(kernels),
        args_(args),
        w_(*args.weight),
        offsets_(static_cast<std::size_t>(args.rows)),
        scales_(offsets_.size()),
        outliers_(offsets_.size()) {
    if (w_.outliers_by_batch) {
      shared_ = quant::outlier_columns(args.x, args.rows, w_.columns, w_.outlier_threshold);
    }
  }

  /// Codes of row r, padded with zeros to whole words.
  void quantize(std::int64_t r, std::uint32_t* words) {
    const std::int64_t padded = panel_steps(w_) * 4;
    auto* codes = reinterpret_cast<std::int8_t*>(words);
    const std::int32_t sum = w_.format == WeightFormat::int8_static ? quantize_static(r, codes)
                                                                    : quantize_token(r, codes);
    offsets_[static_cast<std::size_t>(r)] = 128 * sum;
    std::fill(codes + w_.columns, codes + padded, std::int8_t{0});
    if (kernels_.words == 1) return;
    // From the end: both are in one place.
    std::copy_backward(codes, codes + padded, reinterpret_cast<std::int16_t*>(words) + padded);
  }

  const std::int32_t* offsets(std::int64_t row) const { return offsets_.data() + row; }
  const float* scales(std::int64_t row) const { return scales_.data() + row; }
  std::span<const Outlier> outliers(std::int64_t row) const {
    return outliers_[static_cast<std::size_t>(row)];
  }

 private:
  std::int32_t quantize_static(std::int64_t r, std::int8_t* codes) {
    std::int32_t sum = 0;
    for (std::int64_t c = 0; c < w_.columns; ++c) {
      codes[c] = quant::quantize_static(args_.x[r * w_.columns + c], w_.input_scale, w_.input_zero);
      sum += codes[c];
    }
    scales_[static_cast<std::size_t>(r)] = w_.input_scale;
    return sum;
  }

  std::int32_t quantize_token(std::int64_t r, std::int8_t* codes) {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    constexpr float kZero = 0x1p-120f;  // as quant::quantize_token has it
    const float* x = args_.x + r * w_.columns;
    const float limit = w_.outlier_threshold > 0 ? w_.outlier_threshold : kInfinity;
    const float largest = kernels_.largest_below(x, w_.columns, kInfinity);
    const float absmax = largest < limit ? largest : kernels_.largest_below(x, w_.columns, limit);
    const bool zero = absmax < kZero;
    scales_[static_cast<std::size_t>(r)] = zero ? 0 : absmax;
    std::int32_t sum = kernels_.quantize(x, w_.columns, limit, zero ? 0 : 127.0f / absmax, codes);
    auto& outliers = outliers_[static_cast<std::size_t>(r)];
    const auto add = [&](std::int32_t column) {
      sum -= codes[column];
      codes[column] = 0;
      outliers.push_back({column, quant::outlier_factor(x[column], w_.source_dtype)});
    };
    for (const std::int32_t column : shared_) add(column);
    for (std::int32_t c = 0; !w_.outliers_by_batch && largest >= limit && c < w_.columns; ++c) {
      if (std::fabs(x[c]) >= limit) add(c);
    }
    return sum;
  }

  const Int8PanelKernels& kernels_;
  const LinearArgs& args_;
  const quant::Matrix& w_;
  std::vector<std::int32_t> offsets_;
  std::vector<float> scales_;
  std::vector<std::vector<Outlier>> outliers_;
  std::vector<std::int32_t> shared_;  // outlier columns of the batch, ascending
};

// y[n] += the outlier columns' part, for one row and panel.
void add_outliers(const quant::Matrix& w, const std::uint8_t* panel, const float* scales,
                  std::span<const Outlier> outliers, std::int64_t outputs, float* y) {
  std::array<float, kPanelOutputs> weights{};
  for (const Outlier& outlier : outliers) {
    const std::uint8_t* column =
        panel + outlier.column / 4 * (kPanelOutputs * 4) + outlier.column % 4;
    for (std::int64_t n = 0; n < outputs; ++n) {
      const auto code = static_cast<std::int8_t>(column[4 * n] - 128);
      weights[static_cast<std::size_t>(n)] = quant::int8_weight(code, scales[n]);
    }
    quant::outlier_factors(weights.data(), outputs, w.source_dtype);
    for (std::int64_t n = 0; n < outputs; ++n) {
      y[n] += outlier.value * weights[static_cast<std::size_t>(n)];
    }
  }
}

void run(const Int8PanelKernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const std::int64_t steps = panel_steps(w);
  const std::int64_t bytes = panel_bytes(w);
  const bool is_static = w.format == WeightFormat::int8_static;
  QuantizedRows rows(kernels, args);
  const RowTiles x(args.rows, steps * kernels.words,
                   {kernels.sizes, static_cast<std::size_t>(kernels.count)},
                   [&](std::int64_t r, std::uint32_t* words) { rows.quantize(r, words); });
  for_each_tile(x, panel_count(w.rows), bytes, [&](std::int64_t panel, const RowTile& tile) {
    const std::int64_t first = panel * kPanelOutputs;
    const std::uint8_t* codes = w.codes.data<std::uint8_t>() + panel * bytes;
    const float* scales = w.scales.data<float>() + first;
    float* y = args.y + tile.first * w.rows + first;
    const std::int64_t outputs = std::min(kPanelOutputs, w.rows - first);
    kernels.tiles[tile.kernel](
        {codes, tile.words, steps, rows.offsets(tile.first), rows.scales(tile.first),
         is_static ? w.zeros.data<std::int32_t>() + first : nullptr, scales,
         is_static ? 1.0f : quant::kInt8ProductScale, y, w.rows, tile.rows, outputs});
    for (std::int64_t r = 0; r < tile.rows; ++r) {
      const auto outliers = rows.outliers(tile.first + r);
      if (!outliers.empty()) add_outliers(w, codes, scales, outliers, outputs, y + r * w.rows);
    }
  });
}

const std::array<KernelVariant<LinearArgs>, 2> kVariants{{
    {"gemm_int8_panels_avx512", Isa::avx512, nullptr,
     [](const LinearArgs& args) { run(kInt8PanelsAvx512, args); }},
    {"gemm_int8_panels_avx2", Isa::avx2, nullptr,
     [](const LinearArgs& args) { run(kInt8PanelsAvx2, args); }},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_int8_panels_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
