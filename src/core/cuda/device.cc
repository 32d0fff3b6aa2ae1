#include "core/cuda/device.h"

#include <algorithm>
#include <charconv>

#ifdef PLIMSOLL_HAS_CUDA
#include "core/cuda/driver_cuda.h"
#endif

namespace plimsoll::cuda {

#ifdef PLIMSOLL_HAS_CUDA

Support available() {
  return driver_support();
}

std::string_view built_architectures() {
  return PLIMSOLL_CUDA_ARCHITECTURES;
}

std::vector<Device> devices() {
  return available() ? driver_devices() : std::vector<Device>{};
}

#else

Support available() {
  return Support::no("built without CUDA");
}

std::string_view built_architectures() {
  return {};
}

std::vector<Device> devices() {
  return {};
}

#endif

namespace {

constexpr int kOldest = 75;

/// Of one architecture: "80", "90a".
bool code_runs(std::string_view architecture, int capability) {
  int built = 0;
  const char* const end = architecture.data() + architecture.size();
  const auto [stop, error] = std::from_chars(architecture.data(), end, built);
  if (error != std::errc{}) return false;
  if (stop != end) return capability == built;  // "90a"
  return capability / 10 == built / 10 && capability >= built;
}

}  // namespace

Support can_run(const Device& device, std::string_view architectures) {
  const int capability = device.compute_capability;
  const std::string found =
      fmt::format("{} has compute capability {}.{}", device.name, capability / 10, capability % 10);
  if (capability < kOldest) {
    return Support::no(fmt::format("{}, needed is {}.{}", found, kOldest / 10, kOldest % 10));
  }
  for (std::string_view rest = architectures; !rest.empty();) {
    const std::size_t length = std::min(rest.find(','), rest.size());
    if (code_runs(rest.substr(0, length), capability)) return Support::yes();
    rest.remove_prefix(std::min(length + 1, rest.size()));
  }
  return Support::no(
      fmt::format("{}, this program was built for {}: build it with "
                  "-DPLIMSOLL_CUDA_ARCHITECTURES={}{}",
                  found, architectures, capability, capability == 90 ? "a" : ""));
}

}  // namespace plimsoll::cuda
