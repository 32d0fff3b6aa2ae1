#include "eval/ceilings.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/threads.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(Ceilings, TheBestPatternAndTheBestProbeCount) {
  Ceilings ceilings;
  ceilings.reads = {{"read", 1, {30, 70, 9}}, {"read", 2, {50, 60, 9}}, {"read", 4, {40, 80, 9}}};
  ceilings.units = {{"fp32", "fp32_probe_avx512", Isa::avx512, {200, 210, 5}},
                    {"fp32", "fp32_probe_avx2", Isa::avx2, {100, 110, 5}}};
  EXPECT_EQ(ceilings.read().streams, 2);  // by the median, not by the luckiest window
  ASSERT_NE(ceilings.unit("fp32"), nullptr);
  EXPECT_EQ(ceilings.unit("fp32")->probe, "fp32_probe_avx512");
  EXPECT_EQ(ceilings.unit("bf16"), nullptr);
}

TEST(Ceilings, EveryRoundAddsSamplesOfEveryProbe) {
  set_threads(2);
  CeilingMeter meter(ProbeSet::in_use, 20 << 20);
  EXPECT_THROW(meter.result(), InternalError);
  meter.round();
  const Ceilings once = meter.result();
  meter.round();
  const Ceilings twice = meter.result();
  EXPECT_EQ(once.threads, 2);
  EXPECT_EQ(once.bytes_per_thread, 16 << 20);  // whole windows
  ASSERT_EQ(once.reads.size(), 4u);
  ASSERT_GE(once.units.size(), 2u);
  for (std::size_t i = 0; i < once.reads.size(); ++i) {
    EXPECT_GT(once.reads[i].gbps.median, 0);
    EXPECT_GE(once.reads[i].gbps.best, once.reads[i].gbps.median);
    EXPECT_EQ(twice.reads[i].gbps.samples, 2 * once.reads[i].gbps.samples);
  }
  for (std::size_t i = 0; i < once.units.size(); ++i) {
    EXPECT_GT(once.units[i].gops.median, 0);
    EXPECT_EQ(twice.units[i].gops.samples, 2 * once.units[i].gops.samples);
  }
  meter.restart();
  EXPECT_THROW(meter.result(), InternalError);
}

}  // namespace
}  // namespace plimsoll
