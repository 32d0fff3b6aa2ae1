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

/// A thread has four neighbours, or one where widths are no whole fours.
template <class F, int kStep>
__global__ void __launch_bounds__(kThreads)
    elementwise_kernel(const __grid_constant__ DeviceElementwiseArgs args) {
  cuda_device::let_next_start();
  const std::int64_t i = (static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x) * kStep;
  if (i >= args.width) return;
  cuda_device::wait_for_previous();
  const std::int64_t row = blockIdx.x;
  const float* const at_a = args.a + row * args.a_stride + i;
  const float* const at_b = args.b + row * args.b_stride + i;
  float* const at_y = args.y + row * args.y_stride + i;
  const F f;
  if constexpr (kStep == 1) {
    *at_y = f(*at_a, args.b != nullptr ? *at_b : 0.0f);
  } else {
    const float4 a = *reinterpret_cast<const float4*>(at_a);
    float4 b{};
    if (args.b != nullptr) b = *reinterpret_cast<const float4*>(at_b);
    *reinterpret_cast<float4*>(at_y) = {f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)};
  }
}

template <class F, int kStep>
void run_steps(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((args.width / kStep + kThreads - 1) / kThreads));
  launch(elementwise_kernel<F, kStep>, {grid, dim3(kThreads), 0, args.dependent}, stream, args);
}

template <class F>
void run(const DeviceElementwiseArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const bool fours = args.width % 4 == 0 && args.a_stride % 4 == 0 && args.b_stride % 4 == 0 &&
                     args.y_stride % 4 == 0;
  fours ? run_steps<F, 4>(args, stream) : run_steps<F, 1>(args, stream);
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
