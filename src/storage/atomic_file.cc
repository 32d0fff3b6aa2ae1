#include "storage/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <fstream>
#include <utility>

#include "storage/system_error.h"

namespace plimsoll {

namespace fs = std::filesystem;

namespace {

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// Hidden, in the same folder (a rename across file systems is a copy), and nobody else's: two
/// processes, or two threads, may be writing the same file.
fs::path temporary_name(const fs::path& path) {
  static std::atomic<unsigned> count = 0;
  return folder_of(path) /
         fmt::format(".{}.{}-{}.tmp", path.filename().string(), ::getpid(), count++);
}

/// Makes a rename in `folder` survive a power failure.
void flush_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_errno(folder, "open");
  const int result = ::fsync(descriptor);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  // EINVAL: a file system that has nothing to flush for a folder.
  if (result != 0 && error != EINVAL) throw_errno(folder, "flush");
}

}  // namespace

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::error_code ignored;  // opening will tell
  // What a link points to is replaced, not the link.
  if (fs::is_symlink(path_, ignored) && fs::exists(path_, ignored)) {
    path_ = fs::canonical(path_, ignored);
  }
  if (fs::is_directory(path_, ignored)) {
    throw InputError(fmt::format("{}: cannot write: it is a folder", path_.string()));
  }
  // A rename would put a regular file in the place of /dev/null.
  if (fs::exists(path_, ignored) && !fs::is_regular_file(path_, ignored)) {
    throw InputError(
        fmt::format("{}: cannot write: it is a device or a pipe, expected a file", path_.string()));
  }
  constexpr mode_t kAllThatUmaskLeaves = 0666;
  do {  // until the name is free: a process that was killed may have left it
    temporary_path_ = temporary_name(path_);
    descriptor_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                         kAllThatUmaskLeaves);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) throw_errno(path_, "create");
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::discard() {
  if (descriptor_ < 0) return;
  ::close(std::exchange(descriptor_, -1));
  ::unlink(temporary_path_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  PLIMSOLL_CHECK(descriptor_ >= 0, "{} is committed", path_.string());
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno(path_, "write");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  PLIMSOLL_CHECK(descriptor_ >= 0, "{} is committed", path_.string());
  if (::fsync(descriptor_) != 0) throw_errno(path_, "write");
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) throw_errno(path_, "replace");
  ::close(std::exchange(descriptor_, -1));  // nothing is left to fail: all is flushed
  flush_folder(folder_of(path_));
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();  // see temporary_name()
    if (!name.starts_with('.') || !name.ends_with(".tmp")) continue;
    const std::size_t end = name.rfind('.');
    if (end == 0) continue;
    const std::size_t begin = name.rfind('.', end - 1) + 1;
    pid_t process = 0;
    const auto [stop, error] = std::from_chars(name.data() + begin, name.data() + end, process);
    if (error != std::errc{} || *stop != '-' || process <= 0) continue;
    if (::kill(process, 0) != 0 && errno == ESRCH) fs::remove(entry.path(), ignored);
  }
}

std::string read_text_file(const fs::path& path, std::size_t limit) {
  std::error_code ignored;  // opening will tell
  if (fs::is_directory(path, ignored)) {
    throw InputError(fmt::format("{}: found a folder, expected a file", path.string()));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_errno(path, "open");
  std::string text;
  while (file) {
    constexpr std::size_t kPiece = std::size_t{1} << 16;
    const std::size_t size = text.size();
    text.resize(size + kPiece);
    file.read(text.data() + size, kPiece);
    text.resize(size + static_cast<std::size_t>(file.gcount()));
    if (text.size() > limit) {
      throw InputError(path.string(), "length", fmt::format("more than {} bytes", limit), "fewer");
    }
  }
  if (file.bad()) throw InputError(fmt::format("{}: cannot read", path.string()));
  return text;
}

}  // namespace plimsoll
