#include "eval/latency.h"

#include <gtest/gtest.h>

#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(Latency, FiguresOfKnownSamples) {
  const LatencySamples samples{512, 101, {1, 2, 4}, {0.25, 0.5, 1}, {0.5, 0.25, 0.125}};
  EXPECT_DOUBLE_EQ(samples.prefill_rate(), 256);
  EXPECT_DOUBLE_EQ(samples.decode_rate(), 400);
  EXPECT_EQ(samples.decode_rates(), (std::vector<double>{200, 400, 800}));
  EXPECT_EQ(samples.prefill_rates(), (std::vector<double>{512, 256, 128}));
  EXPECT_EQ(samples.end_to_end_seconds(), (std::vector<double>{0.75, 0.75, 1.125}));
  EXPECT_EQ(samples.tpot_seconds(), (std::vector<double>{0.005, 0.0025, 0.00125}));
}

TEST(Latency, CountsWhatItTimed) {
  const auto model = load_model(test::golden("llama-tiny").string());
  const std::vector<std::int32_t> prefill(40, 7), prompt{1, 2, 3};
  LatencySamples samples;
  for (int i = 0; i < 3; ++i) {
    measure_prefill(*model, {}, prefill, samples);
    measure_generation(*model, {}, prompt, 10, samples);
  }
  EXPECT_EQ(samples.prefill_tokens, 40);
  EXPECT_EQ(samples.new_tokens, 10);
  EXPECT_EQ(samples.decode_tokens(), 9);
  EXPECT_EQ(samples.prefill_seconds.size(), 3u);
  EXPECT_EQ(samples.ttft_seconds.size(), 3u);
  EXPECT_EQ(samples.decode_seconds.size(), 3u);
  EXPECT_GT(samples.decode_rate(), 0);
}

}  // namespace
}  // namespace plimsoll
