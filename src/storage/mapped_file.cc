#include "storage/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/memory.h"
#include "core/units.h"
#include "storage/system_error.h"

namespace plimsoll {

namespace {

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.number < 0) throw_errno(path, "open");
  struct stat status {};
  if (::fstat(file.number, &status) != 0) throw_errno(path, "examine");
  if (!S_ISREG(status.st_mode)) {
    throw InputError(fmt::format("{}: found {}, expected a regular file", path.string(),
                                 S_ISDIR(status.st_mode) ? "a folder" : "a device or a pipe"));
  }
  if (status.st_size == 0) {
    throw InputError(fmt::format("{}: found an empty file", path.string()));
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
  if (data == MAP_FAILED && errno == ENOMEM) {
    throw InputError(fmt::format("{}: mapping it needs {}, {} are available", path.string(),
                                 format_bytes(size), format_bytes(available_memory())));
  }
  if (data == MAP_FAILED) throw_errno(path, "map");
  return std::shared_ptr<const MappedFile>(
      new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace plimsoll
