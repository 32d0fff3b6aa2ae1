#include "eval/device_times.h"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

trace::Event event(std::string_view name, std::int64_t begin, std::int64_t duration) {
  return {name, "mlp", begin, duration, 0, 0, trace::kDefaultUnit};
}

TEST(DeviceTimes, AnEventLastsAsLongAsItsKernelsRan) {
  std::vector<trace::Event> events{event("product", 1000, 500), event("idle", 1600, 100),
                                   event("attention", 2000, 1000)};
  // Two that overlap, one apart; one that begins before its event by a clock that is behind; one
  // that belongs to nobody.
  const std::vector<cuda::KernelRun> runs{
      {"b", 1150, 100}, {"a", 1100, 100}, {"c", 1300, 20}, {"d", 1990, 300}, {"e", 5000, 10}};
  take_kernel_times(events, runs);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].begin_ns, 1100);
  EXPECT_EQ(events[0].duration_ns, 150 + 20);
  EXPECT_EQ(events[1].begin_ns, 1600);
  EXPECT_EQ(events[1].duration_ns, 100);
  EXPECT_EQ(events[2].begin_ns, 2000);
  EXPECT_EQ(events[2].duration_ns, 300);
}

TEST(DeviceTimes, AKernelBelongsToTheInnermostEvent) {
  std::vector<trace::Event> events{event("inner", 1100, 100), event("outer", 1000, 1000)};
  const std::vector<cuda::KernelRun> runs{{"a", 1120, 40}};
  take_kernel_times(events, runs);
  EXPECT_EQ(events[0].name, "outer");  // in the order of beginning
  EXPECT_EQ(events[0].duration_ns, 1000);
  EXPECT_EQ(events[1].duration_ns, 40);
}

TEST(DeviceTimes, TimeInWhichSeveralRanCountsOnce) {
  const std::vector<cuda::KernelRun> runs{
      {"b", 1100, 200}, {"a", 1000, 150}, {"within", 1120, 10}, {"c", 2000, 50}};
  EXPECT_NEAR(busy_seconds(runs), (300 + 50) * 1e-9, 1e-18);
  EXPECT_EQ(busy_seconds({}), 0);
}

}  // namespace
}  // namespace plimsoll
