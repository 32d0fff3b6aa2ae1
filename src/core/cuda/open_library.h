// NVIDIA's libraries are opened at run time: a program that was built with them starts without.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace plimsoll::cuda {

/// A handle (dlopen) of the first of `names` that can be opened, until the process ends. InputError
/// "WHAT: REASON; install it or add its folder to LD_LIBRARY_PATH" where there is none, with the
/// reason of the first name.
void* open_library(std::string_view what, std::span<const std::string> names);

/// What an opened library has by this name; nullptr where it has nothing.
void* find_symbol(void* library, const char* name);
/// The same as a function; false where there is none.
template <class Function>
bool find_function(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(find_symbol(library, name));
  return function != nullptr;
}

}  // namespace plimsoll::cuda
