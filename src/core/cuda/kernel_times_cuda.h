// What kernel_times.h tells, asked of CUPTI. Without CUDA's headers, so that kernel_times.cc needs
// none.
#pragma once

#include <vector>

#include "core/cuda/kernel_times.h"

namespace plimsoll::cuda {

Support cupti_support();
void start_cupti();
std::vector<KernelRun> stop_cupti();

}  // namespace plimsoll::cuda
