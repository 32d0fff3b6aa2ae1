// The GPUs of this machine. In every build: where it was built without CUDA, or the machine has no
// driver or no GPU, there are none, with the reason.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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

/// The architectures that this program's kernels were compiled for, as nvcc names them: "80,90a".
/// Empty where it was built without CUDA.
std::string_view built_architectures();
/// Whether kernels that were compiled for `architectures` run on such a GPU: machine code runs
/// within its major version from its minor one on, "90a"'s on 9.0 alone. Otherwise what to do.
Support can_run(const Device& device, std::string_view architectures = built_architectures());

}  // namespace plimsoll::cuda
