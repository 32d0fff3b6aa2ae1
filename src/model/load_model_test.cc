#include "model/load_model.h"

#include <gtest/gtest.h>

#include "support/fake_device.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(MoveModel, SaysWhichWeightsWouldFit) {
  test::FakeDevice device;
  const auto model = load_model(test::golden("mistral-tiny").string());
  const auto said = [&] {
    return test::message_of<InputError>([&] { move_model(*model, "mistral-tiny", device); });
  };
  EXPECT_NE(said().find("0 B are free: no format fits"), std::string::npos) << said();
  device.free = model->weight_bytes() - 1;
  EXPECT_NE(said().find("--weights fp16, bf16"), std::string::npos) << said();
  EXPECT_EQ(device.packed, 0);

  // Beside weights that do fit: what has no room may have it beside lighter ones.
  device.free = model->weight_bytes();
  move_model(*model, "mistral-tiny", device);
  EXPECT_GT(device.packed, 0);
  EXPECT_TRUE(device.advice(1).starts_with("--weights fp16, bf16")) << device.advice(1);
  EXPECT_TRUE(device.advice(1).ends_with(" would fit"));
  const auto most = static_cast<std::uint64_t>(model->weight_bytes()) * 3 / 4;
  EXPECT_EQ(device.advice(most).find("fp16"), std::string::npos) << device.advice(most);
  EXPECT_TRUE(device.advice(std::uint64_t{1} << 40).starts_with("no lighter weights"));
}

}  // namespace
}  // namespace plimsoll
