// What a kernel of gemv is launched with, and the launches, one a family of formats.
#pragma once

#include "kernels/gemv/gemv_args_cuda.h"

namespace plimsoll::kernels::gemv {

/// What a kernel is launched with.
struct Plan {
  Args args;
  DeviceWeights w;
  int columns = 0;
  int block_tiles = 0;      // most tiles of a block
  float product_scale = 0;  // int8: quant::kInt8ProductScale and kInt8WeightScale
  float weight_scale = 0;
};

void run_dense(const Plan& plan, cudaStream_t stream);
void run_int8(const Plan& plan, cudaStream_t stream);
void run_table4(const Plan& plan, cudaStream_t stream);

}  // namespace plimsoll::kernels::gemv
