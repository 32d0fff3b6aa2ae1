#include "eval/latency.h"

#include <gtest/gtest.h>

#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(Latency, RatesOfKnownSamples) {
  LatencySamples samples{512, 100, {1, 2, 4}, {0.5, 0.25, 0.125}};
  EXPECT_DOUBLE_EQ(samples.prefill_rate(), 256);
  EXPECT_DOUBLE_EQ(samples.decode_rate(), 400);
}

TEST(Latency, CountsWhatItTimed) {
  const auto model = load_model(test::golden("llama-tiny").string());
  const std::vector<std::int32_t> prefill(40, 7), prompt{1, 2, 3};
  LatencySamples samples;
  for (int i = 0; i < 3; ++i) measure_latency(*model, {}, prefill, prompt, 10, samples);
  EXPECT_EQ(samples.prefill_tokens, 40);
  EXPECT_EQ(samples.decode_tokens, 10);
  EXPECT_EQ(samples.prefill_seconds.size(), 3u);
  EXPECT_EQ(samples.decode_seconds.size(), 3u);
  EXPECT_GT(samples.decode_rate(), 0);
}

}  // namespace
}  // namespace plimsoll
