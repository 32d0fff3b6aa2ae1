// The Hessian of a layer's squared output error: H = 2/n sum x x^T over n calibration activations.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace plimsoll::quant {

/// Sums x x^T in f32, 4 columns^2 bytes. InputError when the machine has not that memory.
class HessianAccumulator {
 public:
  explicit HessianAccumulator(std::int64_t columns);

  /// x[rows, columns], finite (InputError otherwise: the model overflowed), in parallel.
  void add(const float* x, std::int64_t rows);

  std::int64_t columns() const { return columns_; }
  /// Activations seen.
  std::int64_t rows() const { return rows_; }
  /// H[i][j]; 0 when nothing was added.
  double at(std::int64_t i, std::int64_t j) const;
  /// out[r] = v H v^T for each row v of values[rows, columns]. On the calling thread.
  void quadratic_forms(const float* values, std::int64_t rows, double* out) const;

 private:
  std::int64_t columns_;
  std::int64_t rows_ = 0;
  Tensor sum_;  // f32 [columns, columns], the upper triangle only
};

}  // namespace plimsoll::quant
