#include "core/cuda/kernel_times.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <utility>

#include "core/cuda/device.h"
#include "core/error.h"

#ifdef PLIMSOLL_HAS_CUDA
#include "core/cuda/kernel_times_cuda.h"
#endif

namespace plimsoll::cuda {

namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
    text.replace(at, from.size(), to);
    at += to.size();
  }
}

}  // namespace

std::string readable_kernel_name(std::string_view mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(std::string(mangled).c_str(), nullptr, nullptr, &status), &std::free);
  if (status != 0) return std::string(mangled);
  std::string name = demangled.get();
  replace_all(name, "(anonymous namespace)::", "");
  for (const std::string_view space :
       {"plimsoll::kernels::", "plimsoll::kv::", "plimsoll::", "gemv::"}) {
    replace_all(name, space, "");
  }
  const char* const formats[] = {"fp32", "bf16", "fp16", "int8"};
  for (int i = 0; i < 4; ++i) {
    replace_all(name, "(KvFormat)" + std::to_string(i), formats[i]);
  }
  // Parameters begin at the first parenthesis outside the template's arguments; a return type,
  // which templates have, ends at the last space before the name.
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<') ++depth;
    if (name[i] == '>') --depth;
    if (depth == 0 && name[i] == ' ') begin = i + 1;
    if (depth == 0 && name[i] == '(') return name.substr(begin, i - begin);
  }
  return name;
}

#ifdef PLIMSOLL_HAS_CUDA

Support kernel_times_available() {
  const Support gpu = available();
  return gpu ? cupti_support() : gpu;
}

void start_kernel_times() {
  if (const Support support = kernel_times_available(); !support) throw InputError(support.reason);
  start_cupti();
}

std::vector<KernelRun> stop_kernel_times() {
  return stop_cupti();
}

#else

Support kernel_times_available() {
  return available();
}

void start_kernel_times() {
  throw InputError(kernel_times_available().reason);
}

std::vector<KernelRun> stop_kernel_times() {
  return {};
}

#endif

}  // namespace plimsoll::cuda
