// The GPUs of this machine. In every build: where it was built without CUDA, or the machine has no
// driver or no GPU, there are none, with the reason.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/variant.h"

namespace plimsoll::cuda {

/// What a GPU is, as the driver says.
struct Device {
  int index = 0;
  std::string name;            // "NVIDIA H200"
  int compute_capability = 0;  // 90 for 9.0
  int multiprocessors = 0;
  std::uint64_t memory = 0;  // bytes
  std::uint64_t l2 = 0;      // bytes
  int shared_memory = 0;     // bytes that one block may ask for
};

/// Yes where at least one GPU can be used, otherwise why not.
Support available();
/// All GPUs; empty where available() says no.
std::vector<Device> devices();

}  // namespace plimsoll::cuda
