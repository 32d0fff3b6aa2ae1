#include "kernels/embedding/embedding_backward_cuda.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

TEST(EmbeddingBackwardCuda, AddsRowsInTheirOrder) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::size_t kRows = 700;
  constexpr std::int32_t kVocabulary = 40;
  Rng rng(7);
  std::vector<std::int32_t> ids;
  ids.reserve(kRows);
  // Each token many times, the last one not at all, some outside the table.
  for (std::size_t i = 0; i < kRows; ++i)
    ids.push_back(static_cast<std::int32_t>(rng.below(kVocabulary - 1)));
  ids[3] = -1;
  ids[400] = kVocabulary;
  for (const std::size_t width : {4, 1028}) {
    const std::vector<float> dy = test::random_floats(kRows * width, 1);
    std::vector<float> table = test::random_floats(kVocabulary * width, 2);
    const cuda::Buffer id_buffer = test::uploaded(ids);
    const cuda::Buffer dy_buffer = test::uploaded(dy);
    const cuda::Buffer table_buffer = test::uploaded(table);
    const cuda::Stream stream;
    embedding_backward({id_buffer.data<std::int32_t>(), kRows, dy_buffer.data<float>(),
                        static_cast<std::int64_t>(width), kVocabulary, table_buffer.data<float>()},
                       stream.get());
    stream.synchronize();
    for (std::size_t row = 0; row < kRows; ++row) {
      if (ids[row] < 0 || ids[row] >= kVocabulary) continue;
      for (std::size_t d = 0; d < width; ++d)
        table[static_cast<std::size_t>(ids[row]) * width + d] += dy[row * width + d];
    }
    // The same order, so the same bits.
    EXPECT_EQ(test::downloaded<float>(table_buffer), table) << width << " wide";
  }
}

}  // namespace
}  // namespace plimsoll::kernels
