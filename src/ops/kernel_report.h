// Every kernel of the program, and whether this CPU can run it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::ops {

/// A kernel variant as `doctor` lists it.
struct KernelReport {
  std::string_view name;
  bool available = false;
  std::string reason;  // why not
};
/// All variants, best first within an operation. What --isa forbids counts as missing.
std::vector<KernelReport> all_kernels();

}  // namespace plimsoll::ops
