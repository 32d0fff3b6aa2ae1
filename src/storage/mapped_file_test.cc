#include "storage/mapped_file.h"

#include <sys/stat.h>

#include <cstring>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

TEST(MappedFile, ShowsTheBytesOfTheFileAndOutlivesItsName) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "f";
  const std::string bytes(10'000, 'x');
  test::write_file(path, bytes);
  const auto file = MappedFile::open(path);
  std::filesystem::remove(path);
  ASSERT_EQ(file->size(), bytes.size());
  EXPECT_EQ(std::memcmp(file->data(), bytes.data(), bytes.size()), 0);
}

TEST(MappedFile, RefusesWhatCannotBeMapped) {
  const test::TemporaryFolder folder;
  const auto message = [&](const std::filesystem::path& path) {
    return test::message_of<InputError>([&] { MappedFile::open(path); });
  };
  const std::string absent = (folder.path() / "absent").string();
  EXPECT_EQ(message(absent), absent + ": cannot open: No such file or directory");
  EXPECT_EQ(message(folder.path()),
            folder.path().string() + ": found a folder, expected a regular file");

  const std::string empty = (folder.path() / "empty").string();
  test::write_file(empty, "");
  EXPECT_EQ(message(empty), empty + ": found an empty file");

  const std::string pipe = (folder.path() / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(message(pipe), pipe + ": found a device or a pipe, expected a regular file");
}

}  // namespace
}  // namespace plimsoll
