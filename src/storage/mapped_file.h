// A file in memory without reading it: pages come in when they are touched, and the kernel may drop
// them again.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace plimsoll {

/// Read-only mapping of a whole regular file. Another process that shortens the file while it is
/// mapped makes later reads fail with SIGBUS: checkpoints are replaced (AtomicFile), never
/// rewritten in place.
class MappedFile {
 public:
  /// InputError when the file is absent, unreadable, empty or not a regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  /// Page-aligned; never null.
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}

  const std::byte* data_;
  std::size_t size_;
};

}  // namespace plimsoll
