// gptq: int4's layout, its codes chosen column by column so that the rounding error of one column
// is made up for by the columns after it (Frantar et al., GPTQ, arXiv:2210.17323).
#pragma once

#include <cstdint>
#include <string_view>

#include "quant/hessian.h"
#include "quant/matrix.h"

namespace plimsoll::quant {

struct GptqOptions {
  int bits = 4;     // the only width that the layout holds
  int group = 128;  // columns a scale: a multiple of 8, or -1 for the whole row
  bool symmetric = true;
  // Quantise columns by falling diagonal of the Hessian. The groups are then static: their grids
  // come from the original weights in the original order ("static_groups"), so that group_index
  // stays c / group and every loader reads the result without a permutation.
  bool act_order = false;
  double damping = 0.01;  // share of the Hessian's mean diagonal that is added to the diagonal
  int block = 128;        // columns whose updates of the rest are applied together (lazy batches)
};

/// What the solver had to do.
struct GptqReport {
  double damping = 0;  // the share in use: larger than asked when that was not enough
  std::int64_t dead_columns =
      0;  // inputs that calibration never saw other than 0: rounded to nearest
};

/// `weights` is [rows, columns], f32, f16 or bf16; the Hessian has the same columns and at least
/// one row. InputError naming `name` on NaN and infinity, on shapes and groups that can_hold()
/// refuses, and when the Hessian is not positive definite even with damping 10.
Matrix encode_gptq(const Tensor& weights, const HessianAccumulator& hessian,
                   const GptqOptions& options, std::string_view name, GptqReport* report = nullptr);

/// tr((W - Q) H (W - Q)^T): twice the mean squared error of the layer's output over the calibration
/// rows, summed over its outputs. For comparing GPTQ with round-to-nearest; any format.
double output_error(const Tensor& weights, const Matrix& matrix, const HessianAccumulator& hessian);

}  // namespace plimsoll::quant
