// What is done for a GPU on the host's side: a step's rows, and weights that move.
#include "ops/layer.h"

#include <gtest/gtest.h>

#include <vector>

#include "support/fake_device.h"

namespace plimsoll::ops {
namespace {

kv::KvShape small_shape() {
  kv::KvShape shape;
  shape.layers = 1;
  shape.kv_heads = 1;
  shape.head_dim = 16;
  return shape;
}

TEST(RowsOf, SayWhereEachRowStands) {
  test::FakeDevice device;
  Context context;
  context.device = &device;
  kv::BlockPool pool(small_shape(), 10 * 16, &device);
  kv::Sequence first(pool);
  kv::Sequence second(pool);
  second.extend(40);
  first.extend(3);
  second.extend(1);
  const std::vector<std::int32_t> ids{7, 8, 9, 5};
  const std::vector<std::int64_t> positions{0, 1, 2, 40};
  const std::vector<SequenceRows> sequences{{&first, 0, 3}, {&second, 3, 1}};
  const Rows rows = rows_of(context, ids, positions, sequences);
  const DeviceRows& there = rows.device;
  EXPECT_EQ(there.ids.device(), &device);
  const auto values = [](const Tensor& tensor) {
    const Tensor host = tensor.to_host();
    return std::vector<std::int32_t>(host.span<std::int32_t>().begin(),
                                     host.span<std::int32_t>().end());
  };
  EXPECT_EQ(values(there.ids), ids);
  EXPECT_EQ(values(there.positions), (std::vector<std::int32_t>{0, 1, 2, 40}));
  EXPECT_EQ(values(there.lines), (std::vector<std::int32_t>{0, 0, 0, 1}));
  EXPECT_EQ(there.tables.shape(), (Shape{2, 3}));
  const std::vector<std::int32_t> tables = values(there.tables);
  EXPECT_EQ(tables[0], first.table()[0]);
  EXPECT_EQ(tables[3], second.table()[0]);
  EXPECT_EQ(tables[5], second.table()[2]);
  EXPECT_EQ(there.longest, 41);
  EXPECT_EQ(there.spans, (std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 3}, {3, 1}}));
}

Linear layer_with(const Tensor& codes) {
  Linear layer;
  layer.weight.rows = codes.dim(0);
  layer.weight.columns = codes.dim(1);
  layer.weight.codes = codes;
  layer.bias = Tensor::zeros(DType::f32, {codes.dim(0)});
  return layer;
}

TEST(Mover, PacksWhatGoesTogetherAndCopiesWhatIsShared) {
  test::FakeDevice device;
  const Tensor codes = Tensor::zeros(DType::f32, {4, 8});
  const Tensor others = Tensor::zeros(DType::f32, {4, 8});
  Linear a = layer_with(codes), b = layer_with(codes), c = layer_with(codes), d = layer_with(codes);
  Linear e = layer_with(others);
  {
    Mover move(device);
    move({&a, &b});
    move({&c, &d});
    move({&e});
  }
  EXPECT_EQ(device.packed, 2);
  EXPECT_EQ(device.twins, 1) << "two layers that are one matrix are copied once";
  EXPECT_EQ(a.device, b.device);
  EXPECT_EQ(c.device, d.device);
  EXPECT_NE(a.device, c.device);
  EXPECT_NE(e.device, nullptr);
  EXPECT_FALSE(e.weight.codes.defined()) << "the host's copy stays";
  EXPECT_FALSE(e.bias.defined());
  EXPECT_EQ(e.weight.rows, 4);
  EXPECT_EQ(e.weight.columns, 8);
}

TEST(Mover, TakesAdaptersAlong) {
  test::FakeDevice device;
  Linear layer = layer_with(Tensor::zeros(DType::f32, {4, 8}));
  layer.adapters.push_back({});
  Mover move(device);
  move({&layer});
  EXPECT_NE(layer.device, nullptr);
  EXPECT_TRUE(layer.adapters.empty()) << "the host's copy stays";
}

TEST(Mover, LeavesNothingUnderWay) {
  test::FakeDevice device;
  {
    Mover move(device);
    move.finish();
    EXPECT_EQ(device.synchronized, 1);
  }
  EXPECT_EQ(device.synchronized, 1);
  { const Mover broken_off(device); }
  EXPECT_EQ(device.synchronized, 2);
}

TEST(TensorOnADevice, IsNotReadOnTheHost) {
  test::FakeDevice device;
  const std::vector<float> values{1, 2, 3};
  const Tensor host = Tensor::from<float>(values, {3});
  Tensor there = host.to_device(device, "a test");
  EXPECT_EQ(there.device(), &device);
  EXPECT_THROW(there.data<float>(), InternalError);
  EXPECT_EQ(there.rows(1, 3).to_host().data<float>()[1], 3);
  const Tensor copy = there.clone();
  EXPECT_NE(copy.raw(), there.raw());
  EXPECT_EQ(copy.device(), &device);
  EXPECT_EQ(copy.to_host().data<float>()[2], 3);
}

TEST(OpenDevice, NamesWhatThereMayBe) {
  for (const char* name : {"toaster", "cuda:", "cuda:-1", "cuda:x", "cuda:1x"}) {
    EXPECT_THROW(open_device(name), InputError) << name;
  }
  EXPECT_THROW(open_device("cuda:99"), InputError);
}

}  // namespace
}  // namespace plimsoll::ops
