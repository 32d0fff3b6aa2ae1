#include "kernels/embedding/embedding_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "core/tensor.h"
#include "kernels/attention/attention_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

TEST(EmbeddingCuda, EveryDtypeWithAndWithoutPositions) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::int64_t kVocabulary = 11;
  constexpr std::int64_t kPositions = 5;
  constexpr std::int64_t kWidth = 776;
  const std::vector<std::int32_t> ids{3, 0, 10, -1, 11, 4};
  const std::vector<std::int32_t> positions{0, 4, 2, 1, 1, 5};
  const auto rows = static_cast<std::int64_t>(ids.size());
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const auto table_of = [&](std::int64_t count, std::uint64_t seed) {
      return converted(
          Tensor::from<float>(cases::normal_values(count * kWidth, seed), {count, kWidth}), dtype);
    };
    const Tensor table = table_of(kVocabulary, 1);
    const Tensor position_table = table_of(kPositions, 2);
    const Tensor wide = converted(table, DType::f32);
    const Tensor wide_positions = converted(position_table, DType::f32);
    const cuda::Buffer id_buffer = cuda::Buffer::of<std::int32_t>(ids, "a test");
    const cuda::Buffer position_buffer = cuda::Buffer::of<std::int32_t>(positions, "a test");
    cuda::Buffer tables(table.bytes() + position_table.bytes(), "a test");
    tables.upload(table.raw(), table.bytes(), 0);
    tables.upload(position_table.raw(), position_table.bytes(), table.bytes());
    for (const bool with_positions : {false, true}) {
      cuda::Buffer out(static_cast<std::size_t>(rows * kWidth) * sizeof(float), "a test");
      out.fill(0xff);
      DeviceEmbeddingArgs args;
      args.ids = id_buffer.data<std::int32_t>();
      args.rows = rows;
      args.table = tables.data();
      args.vocabulary = kVocabulary;
      args.positions = position_buffer.data<std::int32_t>();
      args.position_table = with_positions ? tables.data() + table.bytes() : nullptr;
      args.position_count = kPositions;
      args.width = kWidth;
      args.dtype = dtype;
      args.y = out.data<float>();
      const cuda::Stream stream;
      embed(args, stream.get());
      stream.synchronize();
      std::vector<float> actual(static_cast<std::size_t>(rows * kWidth));
      out.download(actual.data(), out.bytes(), 0);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t id = ids[static_cast<std::size_t>(r)];
        const std::int64_t position = positions[static_cast<std::size_t>(r)];
        const bool known =
            id >= 0 && id < kVocabulary && (!with_positions || position < kPositions);
        for (std::int64_t i = 0; i < kWidth; ++i) {
          const float value = actual[static_cast<std::size_t>(r * kWidth + i)];
          if (!known) {
            ASSERT_TRUE(std::isnan(value));
            continue;
          }
          float expected = wide.data<float>()[id * kWidth + i];
          if (with_positions) expected += wide_positions.data<float>()[position * kWidth + i];
          ASSERT_EQ(value, expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
