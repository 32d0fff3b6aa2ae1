#include "kernels/attention_eager/eager_parts_cuda.h"

#include <type_traits>

#include "kernels/attention/attention_tile_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/rope/head_vector_cuda.cuh"

namespace plimsoll::kernels::eager {

namespace {

constexpr int kThreads = 256;

/// One span's launches.
struct Plan {
  DevicePrefillArgs args;
  PrefillSpan span;
  Parts parts;
  CacheSizes sizes;
};

template <class T>
__device__ T rounded(float value) {
  if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(value);
  } else if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(value);
  } else {
    return value;
  }
}

/// grid (rows, blocks of kThreads elements of all heads)
template <class T>
__global__ void __launch_bounds__(kThreads) queries_kernel(const __grid_constant__ Plan plan) {
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const int head_dim = plan.sizes.head_dim;
  const auto column = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (column >= plan.args.heads * head_dim) return;
  const std::int64_t row = blockIdx.x;
  const float value = plan.args.q[(plan.span.begin + row) * plan.args.q_stride + column];
  static_cast<T*>(
      plan.parts.q)[(column / head_dim * plan.span.rows + row) * head_dim + column % head_dim] =
      rounded<T>(value);
}

/// A 16 x 16 piece of a block's keys or values. grid (blocks of the sequence, KV heads x tiles of
/// elements, keys and values)
template <class T, class Stored>
__global__ void __launch_bounds__(kThreads) cache_kernel(const __grid_constant__ Plan plan) {
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const CacheSizes& sizes = plan.sizes;
  const kv::DeviceKv& kv = plan.args.kv;
  const bool key = blockIdx.z == 0;
  const int head = static_cast<int>(blockIdx.y) / sizes.tiles;
  // Neighbouring threads write to neighbouring places.
  const auto fast = static_cast<int>(threadIdx.x) % 16;
  const auto slow = static_cast<int>(threadIdx.x) / 16;
  const int slot = key ? slow : fast;
  const int element = static_cast<int>(blockIdx.y) % sizes.tiles * 16 + (key ? fast : slow);
  if (element >= sizes.head_dim) return;
  const auto begin = static_cast<int>(plan.span.begin);
  const int position = kv.positions[begin];
  const auto window = static_cast<int>(plan.args.window);
  const int token = static_cast<int>(blockIdx.x) * kBlockTokens + slot;
  const bool seen = token < position + static_cast<int>(plan.span.rows) &&
                    (window == 0 || token > position - window);
  float value = 0;
  if (seen) {
    const std::int64_t block = table_of(kv, begin)[blockIdx.x];
    const auto* part = reinterpret_cast<const Stored*>((key ? kv.keys : kv.values) +
                                                       block * sizes.block + head * sizes.head);
    value = static_cast<float>(
        part[kv::device_offset(kv.layout.format, sizes.padded_dim, key, slot, element)]);
    if constexpr (std::is_same_v<Stored, std::int8_t>) {
      value *= (key ? kv.key_scales
                    : kv.value_scales)[block * sizes.block_scales + head * kBlockTokens + slot];
    }
  }
  const std::int64_t keys = plan.parts.keys;
  if (key) {
    static_cast<T*>(plan.parts.k)[(head * keys + token) * sizes.head_dim + element] =
        rounded<T>(value);
  } else {
    static_cast<T*>(
        plan.parts.v)[(static_cast<std::int64_t>(head) * sizes.head_dim + element) * keys + token] =
        rounded<T>(value);
  }
}

/// fn(a, b) of all threads' values, for all of them.
template <class Fn>
__device__ float across(float value, float* shared, Fn&& fn) {
  for (int lane = 16; lane > 0; lane /= 2)
    value = fn(value, __shfl_xor_sync(0xffffffffu, value, lane));
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared[0];
  for (int warp = 1; warp < kThreads / 32; ++warp) value = fn(value, shared[warp]);
  return value;
}

/// grid (rows, heads)
template <class T>
__global__ void __launch_bounds__(kThreads) softmax_kernel(const __grid_constant__ Plan plan) {
  __shared__ float shared[kThreads / 32];
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const auto thread = static_cast<int>(threadIdx.x);
  const auto keys = static_cast<int>(plan.parts.keys);
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.y) * plan.span.rows + blockIdx.x;
  const float* const scores = plan.parts.scores + row * keys;
  T* const weights = static_cast<T*>(plan.parts.weights) + row * keys;
  const int position = plan.args.kv.positions[plan.span.begin + blockIdx.x];
  const auto window = static_cast<int>(plan.args.window);
  const int from = window > 0 ? max(position - window + 1, 0) : 0;
  const float factor = plan.args.scale * 1.44269504088896341f;
  float largest = minus_infinity();
  for (int i = from + thread; i <= position; i += kThreads) largest = fmaxf(largest, scores[i]);
  largest = across(largest, shared, [](float a, float b) { return fmaxf(a, b); });
  float total = 0;
  for (int i = from + thread; i <= position; i += kThreads)
    total += power_of_two((scores[i] - largest) * factor);
  total = across(total, shared, [](float a, float b) { return a + b; });
  for (int i = thread; i < keys; i += kThreads) {
    const bool seen = i >= from && i <= position;
    weights[i] = rounded<T>(seen ? power_of_two((scores[i] - largest) * factor) / total : 0.0f);
  }
}

unsigned pieces(std::int64_t count, std::int64_t of) {
  return static_cast<unsigned>((count + of - 1) / of);
}

/// fn(T{}, Stored{}): what the cache's elements become, and what they are.
template <class Fn>
void with_types(kv::KvFormat format, Fn&& fn) {
  switch (format) {
    case kv::KvFormat::f32:
      return fn(float{}, float{});
    case kv::KvFormat::bf16:
      return fn(__nv_bfloat16{}, __nv_bfloat16{});
    case kv::KvFormat::fp16:
      return fn(__half{}, __half{});
    case kv::KvFormat::int8:
      return fn(__half{}, std::int8_t{});
  }
}

}  // namespace

void gather(const DevicePrefillArgs& args, const PrefillSpan& span, const Parts& parts,
            cudaStream_t stream) {
  const Plan plan{args, span, parts, CacheSizes(args.kv.layout)};
  with_types(args.kv.layout.format, [&](auto type, auto stored) {
    using T = decltype(type);
    using Stored = decltype(stored);
    launch(queries_kernel<T>,
           {dim3(static_cast<unsigned>(span.rows),
                 pieces(args.heads * args.kv.layout.head_dim, kThreads)),
            dim3(kThreads), 0, args.dependent},
           stream, plan);
    launch(cache_kernel<T, Stored>,
           {dim3(static_cast<unsigned>(parts.keys / kBlockTokens),
                 static_cast<unsigned>(args.kv.layout.kv_heads * plan.sizes.tiles), 2),
            dim3(kThreads), 0, true},
           stream, plan);
  });
}

void softmax(const DevicePrefillArgs& args, const PrefillSpan& span, const Parts& parts,
             cudaStream_t stream) {
  const Plan plan{args, span, parts, CacheSizes(args.kv.layout)};
  with_types(args.kv.layout.format, [&](auto type, auto) {
    launch(softmax_kernel<decltype(type)>,
           {dim3(static_cast<unsigned>(span.rows), static_cast<unsigned>(args.heads)),
            dim3(kThreads), 0, false},
           stream, plan);
  });
}

}  // namespace plimsoll::kernels::eager
