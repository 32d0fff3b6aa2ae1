#include "storage/atomic_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "core/error.h"
#include "storage/system_error.h"

namespace plimsoll {

namespace {

namespace fs = std::filesystem;

/// Whether the open folder is still the one of that name.
bool is_named(int descriptor, const fs::path& path) {
  struct stat open = {}, named = {};
  return ::fstat(descriptor, &open) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

}  // namespace

AtomicFolder::AtomicFolder(fs::path path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error)
    throw InputError(path_.string(), "output folder", error.message(), "a folder that can be made");
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) throw_errno(path_, "open the folder");
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 || !is_named(descriptor_, path_)) {
    ::close(descriptor_);
    throw InputError(path_.string(), "output folder", "another run that writes it",
                     "one run at a time");
  }
  for (const auto& entry : fs::directory_iterator(path_, error)) fs::remove_all(entry, error);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!became_) fs::remove_all(path_, ignored);
  ::close(descriptor_);
}

void AtomicFolder::become(const fs::path& target) {
  std::error_code error;
  fs::rename(path_, target, error);
  if (error)
    throw InputError(target.string(), "output folder", error.message(),
                     "a folder that can be made");
  became_ = true;
}

}  // namespace plimsoll
