#include "core/cuda/device.h"

#include <gtest/gtest.h>

namespace plimsoll::cuda {
namespace {

Device gpu(int capability) {
  Device device;
  device.name = "a GPU";
  device.compute_capability = capability;
  return device;
}

TEST(CanRun, MachineCodeRunsWithinItsMajorVersionFromItsMinorOneOn) {
  EXPECT_TRUE(can_run(gpu(75), "75"));
  EXPECT_TRUE(can_run(gpu(86), "80"));
  EXPECT_TRUE(can_run(gpu(89), "75,86"));
  EXPECT_FALSE(can_run(gpu(80), "86"));
  EXPECT_FALSE(can_run(gpu(90), "75,80,86,89"));
  EXPECT_TRUE(can_run(gpu(90), "80,90"));
}

TEST(CanRun, CodeForOneChipRunsThereAlone) {
  EXPECT_TRUE(can_run(gpu(90), "90a"));
  EXPECT_FALSE(can_run(gpu(92), "90a"));
  EXPECT_FALSE(can_run(gpu(100), "90a"));
}

TEST(CanRun, SaysWhatTheGpuIsAndWhatToDo) {
  const Support other = can_run(gpu(89), "80,90a");
  EXPECT_TRUE(other) << other.reason;
  EXPECT_EQ(can_run(gpu(120), "80,90a").reason,
            "a GPU has compute capability 12.0, this program was built for 80,90a: build it with "
            "-DPLIMSOLL_CUDA_ARCHITECTURES=120");
  EXPECT_EQ(can_run(gpu(70), "70").reason, "a GPU has compute capability 7.0, needed is 7.5");
  EXPECT_FALSE(can_run(gpu(90), ""));
}

}  // namespace
}  // namespace plimsoll::cuda
