// What device.h tells, asked of CUDA's runtime. Without CUDA's headers, so that device.cc needs
// none.
#pragma once

#include <vector>

#include "core/cuda/device.h"

namespace plimsoll::cuda {

Support driver_support();
/// Only where driver_support() says yes.
std::vector<Device> driver_devices();

}  // namespace plimsoll::cuda
