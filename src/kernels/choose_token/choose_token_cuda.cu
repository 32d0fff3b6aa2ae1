// kParts blocks a row, each with its share of the ids; the last to be done puts their results
// together.
#include "kernels/choose_token/choose_token_cuda.h"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

constexpr int kParts = 16;
constexpr int kThreads = 256;
constexpr int kNone = 0x7fffffff;

/// The largest score so far, of equal ones the lowest id; id -1: something was not finite.
struct Best {
  float score;
  int id;

  __device__ static Best none() { return {__int_as_float(0xff800000), kNone}; }
  __device__ void take(float other, int other_id) {
    if (id < 0 || other_id < 0) {
      id = -1;
    } else if (other > score || (other == score && other_id < id)) {
      score = other;
      id = other_id;
    }
  }
};

/// Random bits of a counter (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
__device__ uint4 philox(std::uint64_t key, std::uint32_t counter0, std::uint32_t counter1) {
  uint4 c{counter0, counter1, 0, 0};
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    c = {__umulhi(0xcd9e8d57u, c.z) ^ c.y ^ k0, 0xcd9e8d57u * c.z,
         __umulhi(0xd2511f53u, c.x) ^ c.w ^ k1, 0xd2511f53u * c.x};
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return c;
}

/// A standard Gumbel variate. Its large values come from small numbers, of which f32 has plenty.
__device__ float gumbel(std::uint32_t bits) {
  const float uniform = fminf((static_cast<float>(bits) + 0.5f) * 0x1p-32f, 1 - 0x1p-24f);
  return -logf(-log1pf(-uniform));
}

struct Scratch {
  unsigned* rows_done;
  unsigned* parts_done;  // [kMaxChooseRows]: at the same place for every number of rows
  Best* parts;           // [rows, kParts]
};

__device__ Best warp_best(Best best) {
  for (int lane = 16; lane > 0; lane /= 2) {
    best.take(__shfl_xor_sync(0xffffffffu, best.score, lane),
              __shfl_xor_sync(0xffffffffu, best.id, lane));
  }
  return best;
}

__device__ Best block_best(Best best, Best* shared) {
  best = warp_best(best);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = best;
  __syncthreads();
  for (int w = 0; w < kThreads / 32; ++w) best.take(shared[w].score, shared[w].id);
  return best;
}

__global__ void __launch_bounds__(kThreads)
    choose_kernel(const __grid_constant__ DeviceChooseArgs args, const Scratch scratch) {
  __shared__ Best warps[kThreads / 32];
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const auto row = static_cast<int>(blockIdx.y);
  const auto part = static_cast<int>(blockIdx.x);
  const auto vocabulary = static_cast<int>(args.vocabulary);
  const int share = ((vocabulary + kParts - 1) / kParts + 3) / 4 * 4;
  const int end = min((part + 1) * share, vocabulary);
  const float* logits = args.logits + row * args.stride;
  const float temperature = args.temperatures != nullptr ? args.temperatures[row] : 0;
  const auto position =
      static_cast<std::uint32_t>(args.positions != nullptr ? args.positions[row] : 0);
  Best best = Best::none();
  for (int id = part * share + static_cast<int>(threadIdx.x) * 4; id < end; id += kThreads * 4) {
    uint4 random{};
    if (temperature > 0) {
      random = philox(args.seeds[row], static_cast<std::uint32_t>(id / 4), position);
    }
    const std::uint32_t bits[4] = {random.x, random.y, random.z, random.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (id + i >= end) break;
      const float logit = logits[id + i];
      const float score = temperature > 0 ? logit / temperature + gumbel(bits[i]) : logit;
      best.take(score, isfinite(logit) ? id + i : -1);
    }
  }
  best = block_best(best, warps);
  if (threadIdx.x >= 32) return;
  unsigned before = 0;
  if (threadIdx.x == 0) {
    scratch.parts[row * kParts + part] = best;
    __threadfence();
    before = atomicInc(scratch.parts_done + row, kParts - 1);
    __threadfence();
  }
  if (__shfl_sync(0xffffffffu, before, 0) != kParts - 1) return;
  const Best& of_lane = scratch.parts[row * kParts + threadIdx.x % kParts];
  best = warp_best({__ldcg(&of_lane.score), __ldcg(&of_lane.id)});
  if (threadIdx.x != 0) return;
  const int id = best.id == kNone ? -1 : best.id;
  args.ids[row] = id;
  if (args.positions != nullptr) args.positions[row] = static_cast<int>(position) + 1;
  if (args.chosen == nullptr) return;
  const auto rows = static_cast<unsigned>(args.rows);
  const unsigned step = *static_cast<volatile const std::uint32_t*>(args.step);
  args.chosen[step % static_cast<unsigned>(args.chosen_steps) * rows + row] = id;
  __threadfence();
  if (atomicInc(scratch.rows_done, rows - 1) == rows - 1) *args.step = step + 1;
}

constexpr std::size_t kCounterBytes = (kMaxChooseRows + 4) * sizeof(unsigned);

}  // namespace

std::size_t choose_token_scratch(std::int64_t rows) {
  return kCounterBytes + static_cast<std::size_t>(rows) * kParts * sizeof(Best);
}

void choose_token(const DeviceChooseArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  PLIMSOLL_CUDA_CHECK(args.rows <= kMaxChooseRows ? cudaSuccess : cudaErrorInvalidValue);
  auto* counters = reinterpret_cast<unsigned*>(args.scratch);
  const Scratch scratch{counters, counters + 4,
                        reinterpret_cast<Best*>(args.scratch + kCounterBytes)};
  launch(choose_kernel,
         {dim3(kParts, static_cast<unsigned>(args.rows)), dim3(kThreads), 0, args.dependent},
         stream, args, scratch);
}

}  // namespace plimsoll::kernels
