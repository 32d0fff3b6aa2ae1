#include "eval/energy.h"

#include <gtest/gtest.h>

#include "support/support.h"

namespace plimsoll {
namespace {

/// A powercap tree of our own, as the kernel lays it out.
class Energy : public testing::Test {
 protected:
  void domain(const std::string& folder, const std::string& name, const std::string& energy,
              const std::string& range = "1000000000") {
    std::filesystem::create_directories(root_.path() / folder);
    test::write_file(root_.path() / folder / "name", name + "\n");
    test::write_file(root_.path() / folder / "max_energy_range_uj", range + "\n");
    set(folder, energy);
  }
  void set(const std::string& folder, const std::string& energy) {
    test::write_file(root_.path() / folder / "energy_uj", energy + "\n");
  }

  test::TemporaryFolder root_;
};

TEST_F(Energy, PackagesAddUpAndTheirPartsDoNotCountAgain) {
  domain("intel-rapl:0", "package-0", "1000000");
  domain("intel-rapl:1", "package-1", "500");
  domain("intel-rapl:0:0", "core", "7000000");
  domain("intel-rapl:2", "psys", "7000000");
  domain("intel-rapl-mmio:0", "package-0", "7000000");
  std::filesystem::create_directories(root_.path() / "intel-rapl");  // the control type itself
  EnergyMeter meter(root_.path());
  EXPECT_EQ(meter.reason(), "");
  EXPECT_EQ(meter.source(), "rapl");
  for (const char* folder : {"intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"})
    set(folder, "90000000");
  set("intel-rapl:0", "3500000");  // 2.5 J
  set("intel-rapl:1", "250500");   // 0.25 J
  EXPECT_DOUBLE_EQ(meter.joules().value(), 2.75);
  meter.start();
  set("intel-rapl:1", "1250500");
  EXPECT_DOUBLE_EQ(meter.joules().value(), 1);
}

unsigned long long millijoules = 0;

TEST(EnergyOfAGpu, IsWhatItsCounterGrewBy) {
  cuda::Nvml library;
  library.init = [] { return 0; };
  library.find_device = [](const char*, void**) { return 0; };
  library.energy = [](void*, unsigned long long* value) {
    *value = millijoules;
    return millijoules > 9000 ? 3 : 0;
  };
  library.error = [](int) { return "Not Supported"; };
  millijoules = 1000;
  EnergyMeter meter(cuda::EnergyCounter("0000:19:00.0", library));
  EXPECT_EQ(meter.source(), "nvml");
  millijoules = 3500;
  EXPECT_DOUBLE_EQ(meter.joules().value(), 2.5);
  meter.start();
  millijoules = 4000;
  EXPECT_DOUBLE_EQ(meter.joules().value(), 0.5);
  millijoules = 9999;
  EXPECT_FALSE(meter.joules());
  EXPECT_NE(meter.reason().find("Not Supported"), std::string::npos);
}

TEST_F(Energy, ACounterWrapsAround) {
  domain("intel-rapl:0", "package-0", "262143000000", "262143328850");
  EnergyMeter meter(root_.path());
  set("intel-rapl:0", "1671150");
  EXPECT_NEAR(meter.joules().value(), 2.0, 1e-9);
}

TEST_F(Energy, WithoutCountersThereIsAReason) {
  EnergyMeter none(root_.path() / "nothing");
  EXPECT_EQ(none.reason(), "no RAPL package in " + (root_.path() / "nothing").string() +
                               " (a virtual machine, or a kernel without it)");
  EXPECT_FALSE(none.joules());
  domain("intel-rapl:0", "package-0", "no number");
  EnergyMeter broken(root_.path());
  EXPECT_NE(broken.reason().find("intel-rapl:0/energy_uj cannot be read"), std::string::npos);
  EXPECT_FALSE(broken.joules());
}

TEST_F(Energy, ACounterThatGoesAwayIsSaid) {
  domain("intel-rapl:0", "package-0", "5");
  EnergyMeter meter(root_.path());
  std::filesystem::remove(root_.path() / "intel-rapl:0" / "energy_uj");
  EXPECT_FALSE(meter.joules());
  EXPECT_NE(meter.reason().find("cannot be read"), std::string::npos);
}

}  // namespace
}  // namespace plimsoll
