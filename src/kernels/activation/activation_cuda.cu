#include "kernels/activation/activation_cuda.h"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

struct Swiglu {
  __device__ float operator()(float gate, float up) const { return gate / (1 + expf(-gate)) * up; }
};
struct GeluErf {
  __device__ float operator()(float x, float) const {
    return 0.5f * x * (1 + erff(x * 0.70710678118654752440f));
  }
};
struct GeluTanh {
  __device__ float operator()(float x, float) const {
    return 0.5f * x * (1 + tanhf(0.79788456080286535588f * (x + 0.044715f * x * x * x)));
  }
};
struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};

template <class F>
__global__ void __launch_bounds__(kThreads)
    elementwise_kernel(const __grid_constant__ DeviceElementwiseArgs args) {
  cuda_device::let_next_start();
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x) * 4;
  if (i >= args.width) return;
  cuda_device::wait_for_previous();
  const std::int64_t row = blockIdx.x;
  const float4 a = *reinterpret_cast<const float4*>(args.a + row * args.a_stride + i);
  float4 b{};
  if (args.b != nullptr) b = *reinterpret_cast<const float4*>(args.b + row * args.b_stride + i);
  const F f;
  *reinterpret_cast<float4*>(args.y + row * args.y_stride + i) = {f(a.x, b.x), f(a.y, b.y),
                                                                  f(a.z, b.z), f(a.w, b.w)};
}

template <class F>
void run(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((args.width / 4 + kThreads - 1) / kThreads));
  launch(elementwise_kernel<F>, {grid, dim3(kThreads), 0, args.dependent}, stream, args);
}

}  // namespace

void swiglu(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  run<Swiglu>(args, stream);
}
void gelu_erf(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  run<GeluErf>(args, stream);
}
void gelu_tanh(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  run<GeluTanh>(args, stream);
}
void add(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  run<Add>(args, stream);
}

}  // namespace plimsoll::kernels
