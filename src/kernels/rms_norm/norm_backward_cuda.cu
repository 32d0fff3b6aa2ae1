// A block a row for dx, whose sums take the values themselves, mean first; then a block 32 columns
// for dweight, from each row's mean and scale.
#include "kernels/column_sums/column_sums_cuda.cuh"
#include "kernels/column_sums/column_sums_cuda.h"
#include "kernels/cuda/block_sum_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/rms_norm/norm_backward_cuda.h"

namespace plimsoll::kernels {

namespace {

using cuda_device::block_sum;

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;

struct RowStatistics {
  float mean;
  float scale;  // 1 / sqrt(variance + epsilon)
};

__device__ float dot(const float4& a, const float4& b) {
  return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}
__device__ float4 product(const float4& a, const float4& b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w};
}
__device__ float4 less(const float4& a, float b) {
  return {a.x - b, a.y - b, a.z - b, a.w - b};
}

/// With g = weight dy:  dx += scale (g - mean(g) - (x - mean) scale^2 mean(g (x - mean))), where
/// RMSNorm has no means of x and of g.
template <bool kCentred>
__global__ void __launch_bounds__(kThreads)
    norm_backward_kernel(const __grid_constant__ NormGradientArgs args, RowStatistics* statistics) {
  __shared__ float parts[4][kWarps];
  const std::int64_t row = blockIdx.x;
  const auto quads = static_cast<int>(args.width / 4);
  const auto first = static_cast<int>(threadIdx.x);
  const auto* x = reinterpret_cast<const float4*>(args.x + row * args.width);
  const auto* dy = reinterpret_cast<const float4*>(args.dy + row * args.width);
  const auto* weight = reinterpret_cast<const float4*>(args.weight);
  auto* dx = reinterpret_cast<float4*>(args.dx + row * args.width);
  const auto width = static_cast<float>(args.width);
  float mean = 0;
  if constexpr (kCentred) {
    float sum = 0;
    for (int i = first; i < quads; i += kThreads) sum += x[i].x + x[i].y + x[i].z + x[i].w;
    mean = block_sum(sum, parts[0]) / width;
  }
  float squares = 0;
  float along = 0;
  float gradients = 0;
  for (int i = first; i < quads; i += kThreads) {
    const float4 centred = less(x[i], mean);
    const float4 g = product(weight[i], dy[i]);
    squares += dot(centred, centred);
    along += dot(centred, g);
    gradients += g.x + g.y + g.z + g.w;
  }
  const float scale = 1 / sqrtf(block_sum(squares, parts[1]) / width + args.epsilon);
  const float slope = block_sum(along, parts[2]) / width * scale * scale;
  const float shift = kCentred ? block_sum(gradients, parts[3]) / width : 0;
  for (int i = first; i < quads; i += kThreads) {
    const float4 centred = less(x[i], mean);
    const float4 g = product(weight[i], dy[i]);
    float4 sum = dx[i];
    sum.x += scale * (g.x - shift - centred.x * slope);
    sum.y += scale * (g.y - shift - centred.y * slope);
    sum.z += scale * (g.z - shift - centred.z * slope);
    sum.w += scale * (g.w - shift - centred.w * slope);
    dx[i] = sum;
  }
  if (statistics != nullptr && threadIdx.x == 0) statistics[row] = {mean, scale};
}

/// What an element adds to its column's dweight.
struct WeightGradient {
  const float* x;
  const float* dy;
  const RowStatistics* statistics;
  std::int64_t width;
  __device__ float operator()(std::int64_t row, std::int64_t column) const {
    const RowStatistics of = statistics[row];
    const std::int64_t at = row * width + column;
    return (x[at] - of.mean) * of.scale * dy[at];
  }
};

template <bool kCentred>
void run(const NormGradientArgs& args, float* scratch, cudaStream_t stream) {
  if (args.rows == 0) return;
  auto* statistics = reinterpret_cast<RowStatistics*>(scratch);
  launch(norm_backward_kernel<kCentred>, {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads)},
         stream, args, args.dweight != nullptr ? statistics : nullptr);
  if (args.dweight != nullptr) {
    add_column_sums_of(WeightGradient{args.x, args.dy, statistics, args.width}, args.rows,
                       args.width, args.dweight, stream);
  }
  if (kCentred && args.dbias != nullptr)
    add_column_sums(args.dy, args.rows, args.width, args.dbias, stream);
}

}  // namespace

void rms_norm_backward(const NormGradientArgs& args, float* scratch, cudaStream_t stream) {
  run<false>(args, scratch, stream);
}

void layer_norm_backward(const NormGradientArgs& args, float* scratch, cudaStream_t stream) {
  run<true>(args, scratch, stream);
}

}  // namespace plimsoll::kernels
