// A folder that is whole or absent.
#pragma once

#include <filesystem>

namespace plimsoll {

/// A folder under a name of its own that takes the place of the one wanted when it is whole. Until
/// then it goes with the object; what a killed run left under the name is cleared. Two runs cannot
/// hold one name: the second gets an InputError.
class AtomicFolder {
 public:
  /// Makes `path` and what is above it. InputError when it cannot be made.
  explicit AtomicFolder(std::filesystem::path path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  /// Takes the place of `target`, which is not there or an empty folder; InputError otherwise. Once
  /// only.
  void become(const std::filesystem::path& target);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;  // holds the lock
  bool became_ = false;
};

}  // namespace plimsoll
