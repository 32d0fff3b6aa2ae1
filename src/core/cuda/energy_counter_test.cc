#include "core/cuda/energy_counter.h"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll::cuda {
namespace {

std::string asked_for;
unsigned long long millijoules = 0;
int status_of_energy = 0;
int one_gpu = 0;

/// A driver with one GPU, at 0000:19:00.0.
Nvml made_up() {
  Nvml library;
  library.init = [] { return 0; };
  library.find_device = [](const char* id, void** device) {
    asked_for = id;
    *device = &one_gpu;
    return asked_for == "0000:19:00.0" ? 0 : 6;
  };
  library.energy = [](void* device, unsigned long long* value) {
    EXPECT_EQ(device, &one_gpu);
    *value = millijoules;
    return status_of_energy;
  };
  library.error = [](int status) { return status == 6 ? "Not Found" : "Not Supported"; };
  return library;
}

TEST(EnergyCounter, CountsJoules) {
  const Nvml library = made_up();
  millijoules = 5'000'000'250;
  EnergyCounter counter("0000:19:00.0", library);
  EXPECT_EQ(counter.reason(), "");
  EXPECT_DOUBLE_EQ(counter.joules().value(), 5'000'000.25);
  millijoules += 1500;
  EXPECT_DOUBLE_EQ(counter.joules().value(), 5'000'001.75);
}

TEST(EnergyCounter, SaysWhyItCannotBeRead) {
  Nvml library = made_up();
  EnergyCounter other("0000:20:00.0", library);
  EXPECT_EQ(other.reason(), "NVML finds no GPU 0000:20:00.0: Not Found");
  EXPECT_FALSE(other.joules());
  status_of_energy = 3;
  EnergyCounter old("0000:19:00.0", library);
  EXPECT_EQ(old.reason(), "NVML does not tell this GPU's energy: Not Supported");
  EXPECT_FALSE(old.joules());
  status_of_energy = 0;
  library.missing = "no library";
  EXPECT_EQ(EnergyCounter("0000:19:00.0", library).reason(), "no library");
}

}  // namespace
}  // namespace plimsoll::cuda
