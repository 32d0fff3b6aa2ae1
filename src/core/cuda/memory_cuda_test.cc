#include "core/cuda/memory_cuda.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "core/cuda/device.h"
#include "core/error.h"
#include "support/cuda.h"
#include "support/support.h"

namespace plimsoll::cuda {
namespace {

TEST(CudaDevice, EachHasANameAndMemory) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const Device& device : devices()) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_GE(device.compute_capability, 75);
    EXPECT_GT(device.multiprocessors, 0);
    EXPECT_GT(device.memory, std::uint64_t{1} << 30);
  }
}

TEST(CudaDevice, WithoutAGpuThereAreNoneAndAReason) {
  if (available()) GTEST_SKIP() << "this machine has a GPU";
  EXPECT_TRUE(devices().empty());
  EXPECT_FALSE(available().reason.empty());
}

TEST(CudaBuffer, BytesComeBack) {
  PLIMSOLL_GPU_OR_SKIP();
  std::vector<int> values(100003);
  std::iota(values.begin(), values.end(), 7);
  Buffer buffer = Buffer::of<int>(values, "a test");
  std::vector<int> tail(3);
  buffer.download(tail.data(), 12, buffer.bytes() - 12);
  EXPECT_EQ(tail, std::vector<int>(values.end() - 3, values.end()));
  buffer.fill(0xff);
  buffer.download(tail.data(), 12, 0);
  EXPECT_EQ(tail, std::vector<int>(3, -1));
  EXPECT_THROW(buffer.download(tail.data(), 12, buffer.bytes() - 8), InternalError);
}

TEST(CudaBuffer, ThePeakIsTheMostHeldAtOnce) {
  PLIMSOLL_GPU_OR_SKIP();
  reset_peak_memory_use();
  const std::uint64_t before = memory_use().held;
  {
    const Buffer first(1 << 20, "a test");
    { const Buffer second(3 << 20, "a test"); }
    Buffer third(1 << 20, "a test");
    const Buffer moved = std::move(third);
    EXPECT_EQ(memory_use().held, before + (2 << 20));
  }
  EXPECT_EQ(memory_use().held, before);
  EXPECT_EQ(memory_use().peak, before + (4 << 20));
}

TEST(CudaBuffer, TooMuchIsAnInputErrorThatSaysHowMuch) {
  PLIMSOLL_GPU_OR_SKIP();
  const std::string message =
      test::message_of<InputError>([] { const Buffer huge(std::size_t{1} << 45, "the weights"); });
  EXPECT_NE(message.find("the weights needs"), std::string::npos) << message;
  EXPECT_NE(message.find("are free"), std::string::npos) << message;
  const Buffer small(16, "a test");  // the failure left nothing behind
  EXPECT_NE(small.data(), nullptr);
}

TEST(CudaGraph, ReplaysWhatWasCaptured) {
  PLIMSOLL_GPU_OR_SKIP();
  const Stream stream;
  Buffer buffer(64, "a test");
  buffer.fill(0);
  const Graph graph = Graph::capture(
      stream, [&] { PLIMSOLL_CUDA_CHECK(cudaMemsetAsync(buffer.data(), 0x11, 64, stream.get())); });
  std::uint32_t word = 1;
  buffer.download(&word, 4, 0);
  EXPECT_EQ(word, 0u) << "capturing ran it";
  graph.launch(stream);
  stream.synchronize();
  buffer.download(&word, 4, 60);
  EXPECT_EQ(word, 0x11111111u);
}

TEST(CudaGraph, AnExceptionEndsTheCapture) {
  PLIMSOLL_GPU_OR_SKIP();
  const Stream stream;
  Buffer buffer(64, "a test");
  const auto fail = [&] {
    PLIMSOLL_CUDA_CHECK(cudaMemsetAsync(buffer.data(), 0x11, 64, stream.get()));
    throw InputError("a lack of memory");
  };
  EXPECT_THROW(Graph::capture(stream, fail), InputError);
  buffer.fill(0);
  stream.synchronize();
  const Graph graph = Graph::capture(
      stream, [&] { PLIMSOLL_CUDA_CHECK(cudaMemsetAsync(buffer.data(), 0x22, 64, stream.get())); });
  graph.launch(stream);
  stream.synchronize();
  std::uint32_t word = 1;
  buffer.download(&word, 4, 0);
  EXPECT_EQ(word, 0x22222222u);
}

TEST(CudaCopyBandwidth, IsAPositiveRate) {
  PLIMSOLL_GPU_OR_SKIP();
  const double rate = copy_bandwidth(64 << 20, 3);
  EXPECT_GT(rate, 1);
  EXPECT_LT(rate, 1e5);
}

}  // namespace
}  // namespace plimsoll::cuda
