#include "kernels/low_rank/low_rank_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "kernels/attention/attention_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels::low_rank {
namespace {

using gemv::Epilogue;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

constexpr std::size_t kColumns = 1100;
constexpr std::size_t kOutputs = 264;
constexpr std::size_t kRanks = 28;
constexpr float kEpsilon = 1e-5f;
// The second matrix has no adapter.
constexpr Part kParts[] = {{0, 100, 0, 20}, {100, 132, 20, 20}, {132, kOutputs, 20, kRanks}};

enum class NormKind : std::uint8_t { none, rms, layer };

bool has(std::size_t output, std::size_t rank) {
  for (const Part& part : kParts) {
    if (static_cast<int>(output) < part.end)
      return static_cast<int>(rank) >= part.rank_begin && static_cast<int>(rank) < part.rank_end;
  }
  return false;
}

struct Problem {
  explicit Problem(std::size_t row_count) : rows(row_count) {
    for (std::size_t i = 0; i < b.size(); ++i) {
      // An output's part alone is to be read.
      if (!has(i / kRanks, i % kRanks)) b[i] = std::numeric_limits<float>::quiet_NaN();
    }
  }

  std::size_t rows;
  Floats x = cases::normal_values(static_cast<std::int64_t>(rows * kColumns), 1);
  Floats norm = cases::normal_values(kColumns, 2);
  Floats bias = cases::normal_values(kColumns, 3);
  Floats a = cases::normal_values(kRanks * kColumns, 4);
  Floats b = cases::normal_values(kOutputs * kRanks, 5);
  Floats sums = cases::normal_values(static_cast<std::int64_t>(rows * kOutputs), 6);
};

Doubles normed(const Problem& p, NormKind kind, std::size_t row) {
  Doubles x(p.x.begin() + static_cast<std::ptrdiff_t>(row * kColumns),
            p.x.begin() + static_cast<std::ptrdiff_t>((row + 1) * kColumns));
  if (kind == NormKind::none) return x;
  double mean = 0, squares = 0;
  if (kind == NormKind::layer) {
    for (const double value : x) mean += value / kColumns;
  }
  for (const double value : x) squares += (value - mean) * (value - mean) / kColumns;
  for (std::size_t c = 0; c < kColumns; ++c) {
    x[c] = (x[c] - mean) / std::sqrt(squares + kEpsilon) * p.norm[c] +
           (kind == NormKind::layer ? p.bias[c] : 0);
  }
  return x;
}

double activated(Epilogue epilogue, double x) {
  if (epilogue == Epilogue::gelu_erf) return 0.5 * x * (1 + std::erf(x / std::numbers::sqrt2));
  if (epilogue == Epilogue::gelu_tanh) {
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    return 0.5 * x * (1 + std::tanh(u));
  }
  return epilogue == Epilogue::swiglu ? x / (1 + std::exp(-x)) : x;
}

struct Within {
  double value, bound;
};

/// [rows, outputs] or half as wide, in double.
std::vector<Within> expected(const Problem& p, NormKind kind, Epilogue epilogue) {
  // Of sums of 1100 and then 28 products, of some 1 and 30.
  constexpr double kError = 2e-3;
  std::vector<Within> y;
  for (std::size_t row = 0; row < p.rows; ++row) {
    const Doubles x = normed(p, kind, row);
    Doubles inner(kRanks);
    for (std::size_t rank = 0; rank < kRanks; ++rank) {
      for (std::size_t c = 0; c < kColumns; ++c) inner[rank] += x[c] * p.a[rank * kColumns + c];
    }
    Doubles sums(kOutputs);
    for (std::size_t output = 0; output < kOutputs; ++output) {
      sums[output] = p.sums[row * kOutputs + output];
      for (std::size_t rank = 0; rank < kRanks; ++rank) {
        if (has(output, rank)) sums[output] += inner[rank] * p.b[output * kRanks + rank];
      }
    }
    const bool paired = epilogue == Epilogue::swiglu;
    const std::size_t width = paired ? kOutputs / 2 : kOutputs;
    for (std::size_t i = 0; i < width; ++i) {
      const double first = activated(epilogue, sums[i]);
      const double second = paired ? sums[i + width] : 1;
      const double factor = std::fabs(second) + (paired ? std::fabs(first) : 0);
      y.push_back({first * second, 1.2 * kError * factor});  // 1.2: the steepest activation
    }
  }
  return y;
}

/// Of the first `rows` rows.
Floats run(const Problem& p, std::size_t rows, NormKind kind, Epilogue epilogue) {
  const auto put = [](const Floats& values) { return cuda::Buffer::of<float>(values, "a test"); };
  const cuda::Buffer x = put(p.x), norm = put(p.norm), bias = put(p.bias), a = put(p.a),
                     b = put(p.b), sums = put(p.sums);
  cuda::Buffer inner(rows * kRanks * sizeof(float), "a test");
  const std::size_t width = epilogue == Epilogue::swiglu ? kOutputs / 2 : kOutputs;
  cuda::Buffer y(rows * width * sizeof(float), "a test");
  inner.fill(0xff);
  y.fill(0xff);
  Args args;
  args.x = x.data<float>();
  args.rows = static_cast<int>(rows);
  args.columns = kColumns;
  if (kind != NormKind::none) args.norm = norm.data<float>();
  if (kind == NormKind::layer) args.norm_bias = bias.data<float>();
  args.epsilon = kEpsilon;
  args.a = a.data<float>();
  args.b = b.data<float>();
  args.ranks = kRanks;
  args.outputs = kOutputs;
  std::copy(std::begin(kParts), std::end(kParts), args.parts);
  args.part_count = static_cast<int>(std::size(kParts));
  args.inner = inner.data<float>();
  args.sums = sums.data<float>();
  args.epilogue = epilogue;
  args.y = y.data<float>();
  const cuda::Stream stream;
  low_rank::run(args, stream.get());
  stream.synchronize();
  Floats result(rows * width);
  y.download(result.data(), y.bytes(), 0);
  return result;
}

TEST(LowRankCuda, IsTheOracle) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const std::size_t rows : {1, 3, 19}) {
    const Problem problem(rows);
    for (const NormKind kind : {NormKind::none, NormKind::rms, NormKind::layer}) {
      for (const Epilogue epilogue : {Epilogue::store, Epilogue::add, Epilogue::swiglu,
                                      Epilogue::gelu_tanh, Epilogue::gelu_erf}) {
        const Floats actual = run(problem, rows, kind, epilogue);
        const std::vector<Within> oracle = expected(problem, kind, epilogue);
        for (std::size_t i = 0; i < actual.size(); ++i) {
          ASSERT_NEAR(actual[i], oracle[i].value, oracle[i].bound)
              << i << " of " << rows << " rows, norm " << static_cast<int>(kind) << ", epilogue "
              << static_cast<int>(epilogue);
        }
      }
    }
  }
}

TEST(LowRankCuda, ARowDependsOnNoOther) {
  PLIMSOLL_GPU_OR_SKIP();
  const Problem problem(19);
  for (const NormKind kind : {NormKind::none, NormKind::rms, NormKind::layer}) {
    const Floats many = run(problem, 19, kind, Epilogue::swiglu);
    for (const std::size_t rows : {1, 8}) {
      const Floats few = run(problem, rows, kind, Epilogue::swiglu);
      EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin())) << rows;
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels::low_rank
