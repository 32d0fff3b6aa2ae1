// When each kernel ran on the GPU, as NVIDIA's CUPTI tells. The library is opened at run time, from
// the CUDA toolkit: profiles need it, nothing else does. In every build.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/variant.h"

namespace plimsoll::cuda {

/// One run of one kernel, copy or fill; nanoseconds of std::chrono::steady_clock, as a trace's.
struct KernelRun {
  std::string name;  // "decode_kernel<fp16, 8>"; copies are "copy", fills "fill"
  std::int64_t begin_ns = 0;
  std::int64_t duration_ns = 0;
};

/// Yes, or why kernel times cannot be had here.
Support kernel_times_available();
/// Starts recording in this process. InputError where kernel_times_available() says no; nothing
/// else of the process may use CUPTI meanwhile.
void start_kernel_times();
/// Waits for the GPU, stops, and gives what ran since, in the order of beginning. With programmatic
/// dependent launch a kernel may begin before the one before it has ended.
std::vector<KernelRun> stop_kernel_times();

/// A kernel's name without return type, parameters and the namespaces of this project, from the
/// mangled one.
std::string readable_kernel_name(std::string_view mangled);

}  // namespace plimsoll::cuda
