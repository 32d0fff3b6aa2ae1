#include "core/cuda/runtime_cuda.h"

#include "core/cuda/memory_cuda.h"
#include "core/error.h"
#include "core/units.h"

namespace plimsoll::cuda {

namespace {

/// About what CUDA takes for graphs and kernels.
constexpr std::uint64_t kOwnMemory = std::uint64_t{256} << 20;

}  // namespace

void call_failed(cudaError_t error, const char* call, const char* file, int line) {
  if (error == cudaErrorMemoryAllocation) {  // of CUDA's own: a graph, a kernel's code
    cudaGetLastError();
    throw InputError(fmt::format("CUDA itself needs memory on the GPU, {} are free{}",
                                 format_bytes(free_memory()), memory_advice(kOwnMemory)));
  }
  check_failed(file, line, call,
               fmt::format("{}: {}", cudaGetErrorName(error), cudaGetErrorString(error)));
}

Stream::Stream() {
  cudaStream_t stream = nullptr;
  PLIMSOLL_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  stream_ = Owned<cudaStream_t, cudaStreamDestroy>(stream);
}

void Stream::synchronize() const {
  PLIMSOLL_CUDA_CHECK(cudaStreamSynchronize(get()));
}

Event::Event() {
  cudaEvent_t event = nullptr;
  PLIMSOLL_CUDA_CHECK(cudaEventCreate(&event));
  event_ = Owned<cudaEvent_t, cudaEventDestroy>(event);
}

void Event::record(const Stream& stream) {
  PLIMSOLL_CUDA_CHECK(cudaEventRecord(get(), stream.get()));
}

void Event::synchronize() const {
  PLIMSOLL_CUDA_CHECK(cudaEventSynchronize(get()));
}

double seconds_between(const Event& begin, const Event& end) {
  end.synchronize();
  float milliseconds = 0;
  PLIMSOLL_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()));
  return milliseconds * 1e-3;
}

void Graph::begin_capture(const Stream& stream) {
  PLIMSOLL_CUDA_CHECK(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
}

Graph Graph::end_capture(const Stream& stream) {
  cudaGraph_t recorded = nullptr;
  PLIMSOLL_CUDA_CHECK(cudaStreamEndCapture(stream.get(), &recorded));
  const Owned<cudaGraph_t, cudaGraphDestroy> graph(recorded);
  cudaGraphExec_t executable = nullptr;
  PLIMSOLL_CUDA_CHECK(cudaGraphInstantiate(&executable, graph.get(), 0));
  Graph made;
  made.executable_ = Owned<cudaGraphExec_t, cudaGraphExecDestroy>(executable);
  return made;
}

void Graph::abandon_capture(const Stream& stream) {
  cudaGraph_t recorded = nullptr;
  cudaStreamEndCapture(stream.get(), &recorded);
  if (recorded != nullptr) cudaGraphDestroy(recorded);
  cudaGetLastError();  // not a launch's
}

void Graph::launch(const Stream& stream) const {
  PLIMSOLL_CUDA_CHECK(cudaGraphLaunch(executable_.get(), stream.get()));
}

}  // namespace plimsoll::cuda
