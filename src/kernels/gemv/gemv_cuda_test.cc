#include "kernels/gemv/gemv_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/gemv/gemv_cuda_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels::gemv {
namespace {

TEST(GemvCuda, EveryFormatAndNumberOfRows) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    const Matrix w = make_matrix(format, 83, 448, 1);
    for (const int rows : {1, 2, 3, 4, 5, 8, 9, 16, 17}) expect_oracle(w, {rows, plain(w)});
  }
}

TEST(GemvCuda, ShapesOnBothSidesOfEveryBorder) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    // One chunk, fewer chunks than warps, more tiles than multiprocessors, columns that are staged
    // in parts, rows that share nested scales.
    const std::int64_t shapes[][2] = {{1, 64}, {16, 64}, {17, 128}, {4700, 64}, {40, 4096}};
    for (const auto& shape : shapes) {
      const Matrix w = make_matrix(format, shape[0], shape[1], 2);
      expect_oracle(w, {1, plain(w)});
      expect_oracle(w, {3, plain(w)});
    }
    const Matrix wide = make_matrix(format, 20, 16384, 3);
    expect_oracle(wide, {1, plain(wide)});
    expect_oracle(wide, {7, plain(wide)});
    expect_oracle(wide, {16, plain(wide)});
  }
}

// f16 ends at 65504. A row that is brought into its form by two blocks must be scaled by both, also
// where only the second sees why, and its neighbour by neither.
TEST(GemvCuda, RowsBeyondF16AreScaled) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : {WeightFormat::int8, WeightFormat::fp8}) {
    for (const std::int64_t columns : {512, 16384}) {
      const Matrix w = make_matrix(format, 100, columns, 4);
      for (const int rows : {1, 3, 9, 16}) {
        Case c{rows, plain(w)};
        c.large = true;
        expect_oracle(w, c);
      }
    }
  }
}

// With no outliers all activations are integers of 8 bits, and with some none is.
TEST(GemvCuda, TheOutlierThresholdChoosesTheActivations) {
  PLIMSOLL_GPU_OR_SKIP();
  Matrix w = make_matrix(WeightFormat::int8, 100, 512, 4);
  for (const float threshold : {0.0f, 0.01f, 6.0f, 1e4f}) {
    w.outlier_threshold = threshold;
    for (const int rows : {1, 3, 9, 16}) expect_oracle(w, {rows, plain(w)});
  }
}

TEST(GemvCuda, GroupsThatAreNoWholeChunks) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const bool shuffled : {false, true}) {
    const Matrix w = cases::random_matrix(WeightFormat::int4, 24, 328,
                                          {.block = 32, .shuffled_groups = shuffled, .seed = 11});
    for (const int rows : {1, 5}) {
      expect_oracle(w, {rows, plain(w)});
      expect_oracle(w, {rows, plain(w), Epilogue::store, Norm::rms, false});
      expect_oracle(w, {rows, plain(w), Epilogue::store, Norm::layer, false});
    }
  }
}

TEST(GemvCuda, NormBiasResidualAndSwiglu) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    const Matrix w = make_matrix(format, 96, 768, 5);
    for (const int rows : {1, 4, 7}) {
      expect_oracle(w, {rows, plain(w), Epilogue::store, Norm::rms, true});
      expect_oracle(w, {rows, plain(w), Epilogue::add, Norm::none, true});
      expect_oracle(w, {rows, {Pairing::heads, 32, 96}, Epilogue::store, Norm::rms, false});
      expect_oracle(w, {rows, {Pairing::halves, 0, 96}, Epilogue::swiglu, Norm::none, false});
      expect_oracle(w, {rows, plain(w), Epilogue::gelu_tanh, Norm::layer, true});
      expect_oracle(w, {rows, plain(w), Epilogue::gelu_erf, Norm::layer, false});
    }
  }
}

TEST(GemvCuda, NeitherTheLaunchNorOtherRowsChangeABit) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat format : kFormats) {
    const Matrix w = make_matrix(format, 333, 1024, 6);
    const auto size = static_cast<std::size_t>(w.rows);
    const std::vector<float> x = make_x(16 * w.columns, 8);
    const std::vector<float> norm = cases::random_values(w.columns, 3);
    const std::vector<float> poison(16 * size, std::numeric_limits<float>::quiet_NaN());
    const auto first_row = [&](const Case& c) {
      const auto rows = static_cast<std::size_t>(c.rows);
      std::vector<float> all = run_on_gpu(w, c, std::span(x).first(rows * w.columns), norm, {}, {},
                                          std::span(poison).first(rows * size));
      all.resize(size);
      return all;
    };
    const std::vector<float> alone = first_row({1, plain(w)});
    for (const int rows : {1, 2, 8, 16}) {
      Case c{rows, plain(w)};
      c.dependent = false;
      EXPECT_EQ(alone, first_row(c)) << quant::format_name(format) << ", " << rows << " rows";
    }
    EXPECT_EQ(alone, first_row({2, plain(w)})) << quant::format_name(format);
  }
}

// Each product reads what the one before wrote, and the blocks of few tiles leave room for the next
// kernel's at once: without its wait a kernel would read too early.
TEST(GemvCuda, AChainOfDependentLaunchesReadsWhatWasWritten) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::int64_t kWidth = 512;
  const Matrix w = make_matrix(WeightFormat::fp16, kWidth, kWidth, 9);
  const std::vector<const Matrix*> parts{&w};
  const UploadedWeights weights(pack(parts, plain(w)), "a test");
  const cuda::Buffer norm = cuda::Buffer::of<float>(std::vector<float>(kWidth, 1.0f), "a test");
  constexpr int kLinks = 40;
  for (const int rows : {1, 3}) {
    const std::vector<float> start = make_x(rows * kWidth, 10);
    const cuda::Buffer scratch(scratch_bytes(weights.view(), rows), "a test");
    std::vector<std::vector<float>> results;
    results.reserve(2);
    for (const bool dependent : {false, true}) {
      std::vector<cuda::Buffer> links;
      links.reserve(kLinks + 1);
      links.push_back(cuda::Buffer::of<float>(start, "a test"));
      for (int i = 0; i < kLinks; ++i) {
        links.emplace_back(start.size() * 4, "a test");
        links.back().fill(0);
      }
      const cuda::Stream stream;
      const cuda::Graph graph = cuda::Graph::capture(stream, [&] {
        for (std::size_t i = 0; i < kLinks; ++i) {
          Args args;
          args.weights = &weights.view();
          args.x = links[i].data<float>();
          args.rows = rows;
          args.norm = norm.data<float>();
          args.epsilon = 1e-5f;
          args.y = links[i + 1].data<float>();
          args.scratch = scratch.data();
          args.dependent = dependent;
          run(args, stream.get());
        }
      });
      graph.launch(stream);
      stream.synchronize();
      results.emplace_back(start.size());
      links.back().download(results.back().data(), start.size() * 4, 0);
    }
    EXPECT_EQ(results[0], results[1]) << rows << " rows";
    EXPECT_GT(std::fabs(results[0][0]), 0);
  }
}

TEST(GemvCuda, RefusesWhatItCannotDo) {
  PLIMSOLL_GPU_OR_SKIP();
  const Matrix w = make_matrix(WeightFormat::fp16, 32, 64, 7);
  const std::vector<const Matrix*> parts{&w};
  const UploadedWeights weights(pack(parts, plain(w)), "a test");
  Args args;
  args.weights = &weights.view();
  args.rows = 65;
  EXPECT_EQ(supports(args).reason, "65 rows, up to 64 are possible");
  args.rows = 2;
  EXPECT_EQ(supports(args).reason, "several rows need scratch_bytes() of scratch");
  args.rows = 1;
  args.epilogue = Epilogue::swiglu;
  EXPECT_FALSE(supports(args));
}

}  // namespace
}  // namespace plimsoll::kernels::gemv
