#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>

namespace plimsoll::test {

/// tests/golden/NAME; fails the test when it is not there.
std::filesystem::path golden(const std::string& name);
/// A path below the checkout.
std::filesystem::path source_path(const std::string& name);
/// ../shared/NAME beside the checkout: material that the project may not carry. A user's clone has
/// none: use PLIMSOLL_SHARED_OR_SKIP.
std::filesystem::path shared(const std::string& name);

/// A fresh folder, removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// Largest |actual - expected| over the largest |expected|. Infinite when a value is not finite or
/// the sizes differ.
double relative_to_largest(std::span<const float> actual, std::span<const float> expected);

/// Runs `statement`, which must throw E, and returns its message.
template <class E, class F>
std::string message_of(F&& statement) {
  try {
    statement();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

}  // namespace plimsoll::test

#define PLIMSOLL_SHARED_OR_SKIP(name)                           \
  if (!std::filesystem::exists(::plimsoll::test::shared(name))) \
  GTEST_SKIP() << "needs ../shared/" << (name) << ", which a clone has not"
