// A warp a head of a row: its query, key or value.
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/rope/append_kv_cuda.h"
#include "kernels/rope/head_vector_cuda.cuh"

namespace plimsoll::kernels {

namespace {

constexpr int kWarps = 8;

__global__ void __launch_bounds__(kWarps * 32)
    append_kernel(const __grid_constant__ DeviceAppendArgs args) {
  cuda_device::let_next_start();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(blockIdx.x);
  const int heads = args.q != nullptr ? static_cast<int>(args.heads) : 0;
  const int kv_heads = static_cast<int>(args.kv.layout.kv_heads);
  const int head_dim = static_cast<int>(args.kv.layout.head_dim);
  // Queries, then keys, then values.
  const int index = static_cast<int>(blockIdx.y * kWarps + threadIdx.x / 32);
  if (index >= heads + 2 * kv_heads) return;
  const bool query = index < heads;
  const bool key = !query && index < heads + kv_heads;
  const int head = query ? index : (index - heads) % kv_heads;
  const std::int64_t offset = row * args.stride + static_cast<std::int64_t>(head) * head_dim;

  cuda_device::wait_for_previous();
  const int position = args.kv.positions[row];
  HeadVector x(head_dim, lane);
  x.load((query ? args.q : key ? args.k : args.v) + offset);
  if (args.frequencies != nullptr && (query || key)) {
    x.rotate([&](int i) { return rope_angle(position, args.frequencies[i]); });
  }
  if (query) {
    if (args.frequencies != nullptr) x.store(args.q + offset);
    return;
  }
  const int block = table_of(args.kv, row)[position / static_cast<int>(kv::kBlockTokens)];
  cache_place(args.kv, position, block, head, key).write(x);
}

}  // namespace

void append_kv(const DeviceAppendArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const std::int64_t vectors = (args.q != nullptr ? args.heads : 0) + 2 * args.kv.layout.kv_heads;
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((vectors + kWarps - 1) / kWarps));
  launch(append_kernel, {grid, dim3(kWarps * 32), 0, args.dependent}, stream, args);
}

}  // namespace plimsoll::kernels
