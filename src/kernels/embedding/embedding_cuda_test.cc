#include "kernels/embedding/embedding_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "core/tensor.h"
#include "kernels/attention/attention_cases.h"
#include "kernels/gemv/gemv_pack.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.raw(), tensor.bytes()};
}

/// The table as a tied head has it.
Tensor packed(const Tensor& table) {
  quant::Matrix matrix;
  matrix.format = quant::dense_format(table.dtype());
  matrix.rows = table.dim(0);
  matrix.columns = table.dim(1);
  matrix.codes = table;
  const std::vector<const quant::Matrix*> parts{&matrix};
  return gemv::pack(parts, {gemv::Pairing::none, 0, matrix.rows}).codes;
}

void expect_rows(std::int64_t width, bool of_head) {
  constexpr std::int64_t kVocabulary = 27;
  constexpr std::int64_t kPositions = 5;
  const std::vector<std::int32_t> ids{3, 0, 26, -1, 27, 14};
  const std::vector<std::int32_t> positions{0, 4, 2, 1, 1, 5};
  const auto rows = static_cast<std::int64_t>(ids.size());
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const auto table_of = [&](std::int64_t count, std::uint64_t seed) {
      return converted(
          Tensor::from<float>(cases::normal_values(count * width, seed), {count, width}), dtype);
    };
    const Tensor table = table_of(kVocabulary, 1);
    const Tensor position_table = table_of(kPositions, 2);
    const Tensor wide = converted(table, DType::f32);
    const Tensor held = of_head ? packed(table) : table;
    const Tensor wide_positions = converted(position_table, DType::f32);
    const cuda::Buffer id_buffer = cuda::Buffer::of<std::int32_t>(ids, "a test");
    const cuda::Buffer position_buffer = cuda::Buffer::of<std::int32_t>(positions, "a test");
    const cuda::Buffer table_buffer = cuda::Buffer::of<std::byte>(bytes_of(held), "a test");
    const cuda::Buffer positions_there =
        cuda::Buffer::of<std::byte>(bytes_of(position_table), "a test");
    for (const bool with_positions : {false, true}) {
      cuda::Buffer out(static_cast<std::size_t>(rows * width) * sizeof(float), "a test");
      out.fill(0xff);
      DeviceEmbeddingArgs args;
      args.ids = id_buffer.data<std::int32_t>();
      args.rows = rows;
      args.table = table_buffer.data();
      args.packed = of_head;
      args.vocabulary = kVocabulary;
      args.positions = position_buffer.data<std::int32_t>();
      args.position_table = with_positions ? positions_there.data() : nullptr;
      args.position_count = kPositions;
      args.width = width;
      args.dtype = dtype;
      args.y = out.data<float>();
      const cuda::Stream stream;
      embed(args, stream.get());
      stream.synchronize();
      std::vector<float> actual(static_cast<std::size_t>(rows * width));
      out.download(actual.data(), out.bytes(), 0);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t id = ids[static_cast<std::size_t>(r)];
        const std::int64_t position = positions[static_cast<std::size_t>(r)];
        const bool known =
            id >= 0 && id < kVocabulary && (!with_positions || position < kPositions);
        for (std::int64_t i = 0; i < width; ++i) {
          const float value = actual[static_cast<std::size_t>(r * width + i)];
          if (!known) {
            ASSERT_TRUE(std::isnan(value));
            continue;
          }
          float expected = wide.data<float>()[id * width + i];
          if (with_positions) expected += wide_positions.data<float>()[position * width + i];
          ASSERT_EQ(value, expected);
        }
      }
    }
  }
}

TEST(EmbeddingCuda, EveryDtypeWithAndWithoutPositions) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_rows(776, false);
  expect_rows(301, false);
}

TEST(EmbeddingCuda, RowsOfATiedHead) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_rows(776, true);
  expect_rows(301, true);
}

}  // namespace
}  // namespace plimsoll::kernels
