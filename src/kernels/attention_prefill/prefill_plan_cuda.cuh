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

/// The kernel of prefill_hopper_cuda.cuh: nullptr where it takes such a cache, or why it does not.
/// All else is mma.sync's.
const char* hopper_refuses(const kv::KvLayout& layout);
void prefill_hopper(const PrefillPlan& plan, cudaStream_t stream);

}  // namespace plimsoll::kernels
