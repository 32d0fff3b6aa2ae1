// What a kernel of gemv is launched with, and the launches, one a family of formats.
#pragma once

#include <cstddef>

#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::gemv {

/// What a kernel is launched with.
struct Plan {
  Args args;
  DeviceWeights w;
  int places = 1;           // rows for which the activations' form has room
  int block_tiles = 0;      // most tiles of a block (or of a cluster)
  float product_scale = 0;  // int8: quant::kInt8ProductScale and kInt8WeightScale
  float weight_scale = 0;
};

/// A family's launch, its Args::scratch for several rows, and the shared memory that a block takes
/// at least for one row of `plan`.
struct Family {
  void (*run)(const Plan& plan, cudaStream_t stream);
  std::size_t (*scratch_bytes)(const DeviceWeights& weights);
  std::uint32_t (*shared_bytes)(const Plan& plan);
};

/// 16-bit activations: int8 too.
Family dense_family(Format format);
/// 8-bit activations.
Family int8_family(Format format);
Family table4_family(Format format);

/// What the GPU has, asked once.
struct Limits {
  int multiprocessors = 0;
  int shared = 0;  // bytes a block
  int major = 0;   // of the compute capability
};
const Limits& limits();

}  // namespace plimsoll::kernels::gemv
