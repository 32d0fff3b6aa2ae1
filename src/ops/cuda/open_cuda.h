// Without CUDA's headers, so that open_device.cc needs none.
#pragma once

#include "ops/device.h"

namespace plimsoll::ops {

/// GPU number `index`, which must be there. The program uses one.
Device& open_cuda_device(int index);

}  // namespace plimsoll::ops
