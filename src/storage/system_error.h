// What the operating system refused, as an InputError.
#pragma once

#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "core/error.h"

namespace plimsoll {

/// "PATH: cannot ACTION: No such file or directory", the reason taken from errno.
[[noreturn]] inline void throw_errno(const std::filesystem::path& path, std::string_view action) {
  const int error = errno;
  throw InputError(fmt::format("{}: cannot {}: {}", path.string(), action,
                               std::generic_category().message(error)));
}

}  // namespace plimsoll
