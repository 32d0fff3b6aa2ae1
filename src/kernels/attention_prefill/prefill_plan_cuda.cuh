// What the prefill kernels are given besides their arguments.
#pragma once

#include "kernels/attention/attention_tile_cuda.cuh"
#include "kernels/attention_prefill/attention_prefill_cuda.h"
#include "kernels/rope/head_vector_cuda.cuh"

namespace plimsoll::kernels {

struct PrefillPlan {
  DevicePrefillArgs args;
  CacheSizes sizes;
  int group = 0;     // query heads of a KV head
  float factor = 0;  // scale times log2 e

  PrefillPlan() = default;
  explicit PrefillPlan(const DevicePrefillArgs& of)
      : args(of),
        sizes(of.kv.layout),
        group(static_cast<int>(of.heads / of.kv.layout.kv_heads)),
        factor(of.scale * 1.44269504088896341f) {}
};

/// The kernel of prefill_hopper_cuda.cuh: whether it was built, the GPU is one that it is for, and
/// the cache of 16 bits and a head dim (padded to 16) of 64 or 128. All else is mma.sync's.
bool hopper_supports(const kv::KvLayout& layout);
void prefill_hopper(const PrefillPlan& plan, cudaStream_t stream);

}  // namespace plimsoll::kernels
