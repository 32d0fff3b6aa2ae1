#include "kernels/activation/activation_backward_cuda.h"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

struct SwigluBackward {
  SwigluGradientArgs args;
  __device__ void operator()(std::int64_t i) const {
    const float gate = args.gate[i];
    const float dy = args.dy[i];
    const float sigmoid = 1 / (1 + expf(-gate));
    const float silu = gate * sigmoid;
    args.dup[i] += dy * silu;
    args.dgate[i] += dy * args.up[i] * (sigmoid + silu * (1 - sigmoid));
  }
};

struct GeluErfBackward {
  const float* x;
  const float* dy;
  float* dx;
  /// d/dx of x Phi(x) = Phi(x) + x phi(x).
  __device__ void operator()(std::int64_t i) const {
    const float at = x[i];
    constexpr float kHalfRoot = 0.70710678118654752440f;
    constexpr float kDensity = 0.39894228040143267794f;  // 1 / sqrt(2 pi)
    const float slope = 0.5f * (1 + erff(at * kHalfRoot)) + at * kDensity * expf(-0.5f * at * at);
    dx[i] += dy[i] * slope;
  }
};

struct GeluTanhBackward {
  const float* x;
  const float* dy;
  float* dx;
  /// d/dx of x/2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
  __device__ void operator()(std::int64_t i) const {
    const float at = x[i];
    constexpr float kScale = 0.79788456080286535588f;
    const float t = tanhf(kScale * (at + 0.044715f * at * at * at));
    const float slope =
        0.5f * (1 + t) + 0.5f * at * (1 - t * t) * kScale * (1 + 3 * 0.044715f * at * at);
    dx[i] += dy[i] * slope;
  }
};

struct AddScaled {
  float* x;
  const float* y;
  float scale;
  __device__ void operator()(std::int64_t i) const { x[i] += scale * y[i]; }
};

template <class F>
__global__ void __launch_bounds__(kThreads)
    for_each_kernel(const __grid_constant__ F f, std::int64_t count) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) f(i);
}

template <class F>
void for_each(const F& f, std::int64_t count, cudaStream_t stream) {
  if (count == 0) return;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  launch(for_each_kernel<F>, {dim3(blocks), dim3(kThreads)}, stream, f, count);
}

}  // namespace

void swiglu_backward(const SwigluGradientArgs& args, cudaStream_t stream) {
  for_each(SwigluBackward{args}, args.count, stream);
}

void gelu_backward(const float* x, const float* dy, std::int64_t count, bool tanh_form, float* dx,
                   cudaStream_t stream) {
  tanh_form ? for_each(GeluTanhBackward{x, dy, dx}, count, stream)
            : for_each(GeluErfBackward{x, dy, dx}, count, stream);
}

void add_scaled(float* x, const float* y, std::int64_t count, float scale, cudaStream_t stream) {
  for_each(AddScaled{x, y, scale}, count, stream);
}

}  // namespace plimsoll::kernels
