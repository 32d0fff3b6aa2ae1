#include "core/cuda/open_library.h"

#include <dlfcn.h>

#include "core/error.h"

namespace plimsoll::cuda {

void* open_library(std::string_view what, std::span<const std::string> names) {
  std::string reason;
  for (const std::string& name : names) {
    void* const handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return handle;
    if (const char* error = dlerror(); error != nullptr && reason.empty()) reason = error;
  }
  throw InputError(
      fmt::format("{}: {}; install it or add its folder to LD_LIBRARY_PATH", what, reason));
}

void* find_symbol(void* library, const char* name) {
  return dlsym(library, name);
}

}  // namespace plimsoll::cuda
