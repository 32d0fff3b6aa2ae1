// Files that are whole or absent: a reader, a crash or a full disk never sees half of one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll {

/// Writes beside `path` and takes its place on commit(). Destroyed without commit() it leaves
/// whatever was at `path` before, and nothing else. Every failure (no such folder, no permission,
/// disk full) is an InputError that names the file.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Durable on return: the file is flushed, renamed over `path`, and the folder flushed. Once
  /// only.
  void commit();

  const std::filesystem::path& path() const { return path_; }

 private:
  void discard();

  std::filesystem::path path_;
  std::filesystem::path temporary_path_;
  int descriptor_ = -1;  // -1 once committed
};

void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// Removes from `folder` what AtomicFile's of processes that are no more have left there: one that
/// is killed cannot clean up.
void remove_leftovers(const std::filesystem::path& folder);

/// The bytes of a file (or of a pipe, until its end). InputError when it cannot be read, is a
/// folder or is longer than `limit` bytes.
std::string read_text_file(const std::filesystem::path& path,
                           std::size_t limit = std::size_t{1} << 30);

}  // namespace plimsoll
