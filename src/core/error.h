// Two kinds of error. Bad input (a file, a flag, a machine too small) throws InputError: one line
// for the user, exit status 2. A broken invariant of ours is PLIMSOLL_CHECK: it throws
// InternalError, exit status 1, and is never caught to carry on.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>

namespace plimsoll {

/// Something that the user gave cannot be used. what() is one line.
class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& message) : std::runtime_error(message) {}
  /// "WHERE: FIELD: found FOUND, expected EXPECTED". `where` is a file, a flag or a tensor's file.
  InputError(std::string_view where, std::string_view field, std::string_view found,
             std::string_view expected)
      : std::runtime_error(
            fmt::format("{}: {}: found {}, expected {}", where, field, found, expected)) {}
};

/// The program contradicted itself; a bug of ours.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& detail);

}  // namespace plimsoll

/// Stops when `condition` is false. The rest is a fmt format string with its arguments, optional.
#define PLIMSOLL_CHECK(condition, ...)                                     \
  do {                                                                     \
    if (!(condition)) [[unlikely]]                                         \
      ::plimsoll::check_failed(__FILE__, __LINE__, #condition,             \
                               ::plimsoll::detail::describe(__VA_ARGS__)); \
  } while (false)

namespace plimsoll::detail {
inline std::string describe() {
  return {};
}
template <class... Args>
std::string describe(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}
}  // namespace plimsoll::detail
