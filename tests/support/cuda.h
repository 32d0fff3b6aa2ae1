// What tests of GPU code share.
#pragma once

#include <gtest/gtest.h>

#include "core/cuda/device.h"

#define PLIMSOLL_GPU_OR_SKIP() \
  if (const auto gpu = ::plimsoll::cuda::available(); !gpu) GTEST_SKIP() << gpu.reason
