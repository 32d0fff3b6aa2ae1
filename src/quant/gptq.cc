#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"
#include "quant/cholesky.h"
#include "quant/codec.h"
#include "quant/int4.h"
#include "quant/panel_product.h"
#include "quant/rounding.h"

namespace plimsoll::quant {

namespace {

constexpr double kLargestDamping = 10;

void check_arguments(const Tensor& weights, const HessianAccumulator& hessian,
                     const GptqOptions& options, std::string_view name) {
  require_matrix(weights, name);
  const Support support = can_hold(WeightFormat::gptq, weights.dim(0), weights.dim(1));
  if (!support) throw InputError(fmt::format("{}: gptq: {}", name, support.reason));
  if (options.bits != 4) throw InputError(name, "bits", fmt::format("{}", options.bits), "4");
  if (options.group != -1 && (options.group <= 0 || options.group % 8 != 0)) {
    throw InputError(name, "group", fmt::format("{}", options.group), "-1 or a multiple of 8");
  }
  if (!(options.damping >= 0 && options.damping <= kLargestDamping)) {
    throw InputError(name, "damping", fmt::format("{}", options.damping),
                     fmt::format("0 to {}", kLargestDamping));
  }
  PLIMSOLL_CHECK(options.block > 0, "block {}", options.block);
  PLIMSOLL_CHECK(hessian.columns() == weights.dim(1), "a Hessian of {} for {} columns",
                 hessian.columns(), weights.dim(1));
  PLIMSOLL_CHECK(hessian.rows() > 0, "the Hessian saw nothing");
}

// The columns in the order in which they are quantised.
std::vector<std::int64_t> column_order(const HessianAccumulator& hessian, bool by_diagonal) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(hessian.columns()));
  std::iota(order.begin(), order.end(), 0);
  if (by_diagonal) {
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return hessian.at(a, a) > hessian.at(b, b);
    });
  }
  return order;
}

// The factor T, upper triangular, with (H + damping)^-1 = T^T T, in the given order of columns: its
// row q holds how the columns after q make up for the error of q. Without forming the inverse: let
// J turn the order round. J H J = U^T U gives H = (J U^T J) (J U^T J)^T, whose left factor is upper
// triangular, and T is that factor's inverse, J (U^-1)^T J.
class ErrorFactor {
 public:
  ErrorFactor(const HessianAccumulator& hessian, std::span<const std::int64_t> order, double asked,
              std::string_view name, GptqReport& report)
      : hessian_(hessian), order_(order), n_(hessian.columns()) {
    const auto extent = static_cast<std::uint64_t>(n_);
    require_memory(extent * extent * (2 * sizeof(double) + sizeof(float)),
                   fmt::format("{}: the inverse of its Hessian", name));
    double diagonal_sum = 0;
    for (std::int64_t c = 0; c < n_; ++c) {
      const double diagonal = hessian.at(c, c);
      if (diagonal > 0) {
        diagonal_sum += diagonal;
      } else {
        ++report.dead_columns;
      }
    }
    const std::int64_t live = n_ - report.dead_columns;
    mean_diagonal_ = live > 0 ? diagonal_sum / static_cast<double>(live) : 1.0;
    for (double damping = asked;; damping = std::max(10 * damping, 0.01)) {
      if (damping > kLargestDamping) {
        throw InputError(name, "Hessian of the calibration", "one that is not positive definite",
                         "finite activations from more calibration text");
      }
      report.damping = damping;
      if (try_damping(damping)) return;
    }
  }

  /// f32 [n, n], zeros below the diagonal.
  const Tensor& factor() const { return factor_; }

 private:
  bool try_damping(double damping) {
    Tensor turned = Tensor::empty(DType::f64, {n_, n_});
    double* a = turned.data<double>();
    parallel_for(n_, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t row = order_[n_ - 1 - i];
        for (std::int64_t j = i; j < n_; ++j) a[i * n_ + j] = hessian_.at(row, order_[n_ - 1 - j]);
        // A dead column couples with no other; any positive diagonal leaves it to round to nearest.
        if (a[i * n_ + i] <= 0) a[i * n_ + i] = mean_diagonal_;
        a[i * n_ + i] += damping * mean_diagonal_;
      }
    });
    if (!factor_upper(turned)) return false;
    const Tensor inverse = invert_upper(turned);
    const double* v = inverse.data<double>();
    factor_ = Tensor::empty(DType::f32, {n_, n_});
    float* t = factor_.data<float>();
    parallel_for(n_, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        for (std::int64_t j = 0; j < n_; ++j) {
          t[i * n_ + j] = static_cast<float>(v[(n_ - 1 - j) * n_ + n_ - 1 - i]);
        }
      }
    });
    return true;
  }

  const HessianAccumulator& hessian_;
  std::span<const std::int64_t> order_;
  std::int64_t n_;
  double mean_diagonal_ = 1;
  Tensor factor_;
};

// Some rows of the weights on their way to codes. Rows are independent of each other, so that a
// thread takes its share of them through all columns.
class RowSolver {
 public:
  RowSolver(const Tensor& weights, std::int64_t first_row, std::int64_t rows,
            std::span<const std::int64_t> order, const Tensor& factor, const GptqOptions& options,
            int group, std::string_view name)
      : order_(order),
        factor_(factor.data<float>()),
        options_(options),
        group_(group),
        name_(name),
        rows_(rows),
        columns_(weights.dim(1)) {
    values_.resize(static_cast<std::size_t>(rows_ * columns_));
    codes_.resize(values_.size());
    grids_.resize(static_cast<std::size_t>(rows_ * groups()));
    std::vector<float> row(static_cast<std::size_t>(columns_));
    for (std::int64_t r = 0; r < rows_; ++r) {
      load_weights(weights, (first_row + r) * columns_, columns_, weights.dtype(), name,
                   row.data());
      for (std::int64_t q = 0; q < columns_; ++q) values_[r * columns_ + q] = row[order_[q]];
      if (!options_.act_order) continue;
      for (std::int64_t g = 0; g < groups(); ++g) {
        const std::int64_t begin = g * group_;
        grid(r, g) =
            group_grid(row.data() + begin, std::min<std::int64_t>(group_, columns_ - begin),
                       options_.symmetric, name_);
      }
    }
  }

  // Within a block a column's error is spread over the rest of the block at once; what the block
  // owes the columns after it is applied as one product.
  void solve() {
    std::vector<float> errors;  // [block, rows]
    const std::int64_t block = aligned_block();
    for (std::int64_t begin = 0; begin < columns_; begin += block) {
      const std::int64_t end = std::min(begin + block, columns_);
      errors.resize(static_cast<std::size_t>((end - begin) * rows_));
      for (std::int64_t r = 0; r < rows_; ++r) {
        for (std::int64_t q = begin; q < end; ++q) {
          errors[(q - begin) * rows_ + r] = quantise(r, q, end);
        }
      }
      add_product<float>(rows_, columns_ - end, end - begin, -1.0f, errors.data(), rows_,
                         factor_ + begin * columns_ + end, columns_, values_.data() + end,
                         columns_);
    }
  }

  void store(Matrix& matrix, std::int64_t first_row) const {
    for (std::int64_t r = 0; r < rows_; ++r) {
      store_grouped_row(matrix, first_row + r,
                        {codes_.data() + r * columns_, static_cast<std::size_t>(columns_)},
                        {grids_.data() + r * groups(), static_cast<std::size_t>(groups())});
    }
  }

 private:
  std::int64_t groups() const { return (columns_ + group_ - 1) / group_; }
  GroupGrid& grid(std::int64_t row, std::int64_t group) { return grids_[row * groups() + group]; }

  // A block holds whole groups or a group whole blocks: a group's grid must be found from weights
  // that have got all that earlier columns owe them.
  std::int64_t aligned_block() const {
    if (options_.act_order || group_ >= columns_ || group_ % options_.block == 0) {
      return options_.block;
    }
    return std::max<std::int64_t>(options_.block / group_, 1) * group_;
  }

  // Codes column q of row r and spreads its error up to column `end`; returns the error in units of
  // the factor's diagonal.
  float quantise(std::int64_t r, std::int64_t q, std::int64_t end) {
    float* row = values_.data() + r * columns_;
    const std::int64_t column = order_[q];
    GroupGrid& group = grid(r, column / group_);
    if (!options_.act_order && q % group_ == 0) {
      group = group_grid(row + q, std::min<std::int64_t>(group_, columns_ - q), options_.symmetric,
                         name_);
    }
    const int code = group.code(row[q]);
    codes_[r * columns_ + column] = static_cast<std::uint8_t>(code);
    const float* influence = factor_ + q * columns_;
    const float error = (row[q] - group.value(code)) / influence[q];
    for (std::int64_t j = q + 1; j < end; ++j) row[j] -= error * influence[j];
    return error;
  }

  std::span<const std::int64_t> order_;
  const float* factor_;
  const GptqOptions& options_;
  const int group_;
  std::string_view name_;
  const std::int64_t rows_;
  const std::int64_t columns_;
  std::vector<float> values_;        // [rows, columns] in the order of quantisation
  std::vector<std::uint8_t> codes_;  // [rows, columns] in the original order
  std::vector<GroupGrid> grids_;     // [rows, groups]
};

}  // namespace

Matrix encode_gptq(const Tensor& weights, const HessianAccumulator& hessian,
                   const GptqOptions& options, std::string_view name, GptqReport* report) {
  check_arguments(weights, hessian, options, name);
  const std::int64_t rows = weights.dim(0);
  const std::int64_t columns = weights.dim(1);
  const int group = options.group == -1 ? static_cast<int>(columns) : options.group;

  GptqReport own_report;
  const std::vector<std::int64_t> order = column_order(hessian, options.act_order);
  const ErrorFactor error_factor(hessian, order, options.damping, name, own_report);
  if (report != nullptr) *report = own_report;

  Matrix matrix = make_grouped(WeightFormat::gptq, rows, columns, group);
  matrix.source_dtype = weights.dtype();
  // Eight rows share a word of zeros; 64 at once use each row of the factor from the cache.
  constexpr std::int64_t kRows = 64;
  parallel_for((rows + kRows - 1) / kRows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t first = piece * kRows;
      RowSolver solver(weights, first, std::min(kRows, rows - first), order, error_factor.factor(),
                       options, group, name);
      solver.solve();
      solver.store(matrix, first);
    }
  });
  return matrix;
}

double output_error(const Tensor& weights, const Matrix& matrix,
                    const HessianAccumulator& hessian) {
  const std::int64_t columns = matrix.columns;
  PLIMSOLL_CHECK(weights.shape() == Shape({matrix.rows, columns}) && hessian.columns() == columns);
  std::vector<double> row_errors(static_cast<std::size_t>(matrix.rows));
  const Tensor original = converted(weights, DType::f32);
  constexpr std::int64_t kRows = 16;
  parallel_for((matrix.rows + kRows - 1) / kRows, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> difference(static_cast<std::size_t>(kRows * columns));
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t first = piece * kRows;
      const std::int64_t last = std::min(first + kRows, matrix.rows);
      decode_rows(matrix, first, last, difference.data());
      const float* values = original.data<float>() + first * columns;
      for (std::int64_t i = 0; i < (last - first) * columns; ++i) {
        difference[i] = values[i] - difference[i];
      }
      hessian.quadratic_forms(difference.data(), last - first, row_errors.data() + first);
    }
  });
  return std::accumulate(row_errors.begin(), row_errors.end(), 0.0);
}

}  // namespace plimsoll::quant
