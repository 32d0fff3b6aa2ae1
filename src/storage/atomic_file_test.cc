#include "storage/atomic_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicFile, ReplacesTheOldFileOnlyOnCommit) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  test::write_file(path, "old");
  AtomicFile file(path);
  file.write("new ");
  file.write("contents");
  EXPECT_EQ(test::read_file(path), "old");
  file.commit();
  EXPECT_EQ(test::read_file(path), "new contents");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, LeavesTheOldFileAndNothingElseWhenNotCommitted) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  test::write_file(path, "old");
  {
    AtomicFile file(path);
    file.write("half of the n");
    EXPECT_EQ(files_in(folder.path()), 2u);  // the temporary file lies beside it
  }
  EXPECT_EQ(test::read_file(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, TwoWritersDoNotDisturbEachOther) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  AtomicFile first(path);
  AtomicFile second(path);
  first.write("first");
  second.write("second");
  second.commit();
  first.commit();
  EXPECT_EQ(test::read_file(path), "first");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicFile, WhatKilledProcessesLeftCanBeRemoved) {
  const test::TemporaryFolder folder;
  const auto path = [&](const std::string& name) { return folder.path() / name; };
  // A process that is over, with its number not yet given to another.
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  test::write_file(path(fmt::format(".model.safetensors.{}-3.tmp", child)), "half");
  const std::array kept{fmt::format(".f.{}-0.tmp", ::getpid()), std::string(".tmp"),
                        std::string(".f.tmp"), fmt::format("f.{}-0.tmp", child),
                        fmt::format(".f.{}.tmp", child)};
  for (const std::string& name : kept) test::write_file(path(name), "not ours to remove");
  remove_leftovers(folder.path());
  EXPECT_EQ(files_in(folder.path()), kept.size());
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(path(name))) << name;
  remove_leftovers(path("nowhere"));
}

TEST(AtomicFile, GivesTheFileTheUsualPermissions) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  const mode_t mask = ::umask(022);
  write_file_atomically(path, "x");
  ::umask(mask);
  EXPECT_EQ(fs::status(path).permissions(), fs::perms{0644});
}

TEST(AtomicFile, NamesTheFileThatCannotBeWritten) {
  const test::TemporaryFolder folder;
  const std::string orphan = (folder.path() / "no-such-folder" / "f").string();
  EXPECT_EQ(test::message_of<InputError>([&] { AtomicFile file(orphan); }),
            orphan + ": cannot create: No such file or directory");
  EXPECT_EQ(test::message_of<InputError>([&] { AtomicFile file(folder.path()); }),
            folder.path().string() + ": cannot write: it is a folder");
}

// A limit on the file's size stands in for a full disk.
TEST(AtomicFile, ReportsAFullDiskAndKeepsTheOldFile) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  test::write_file(path, "old");
  const auto write_past_the_limit = [&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message =
        test::message_of<InputError>([&] { write_file_atomically(path, std::string(5000, 'x')); });
    ::_exit(message == path.string() + ": cannot write: File too large" ? 0 : 1);
  };
  EXPECT_EXIT(write_past_the_limit(), ::testing::ExitedWithCode(0), "");
  EXPECT_EQ(test::read_file(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(ReadTextFile, ReadsAllBytes) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  const std::string text = std::string(200'000, 'x') + '\0' + "end\r\n";
  test::write_file(path, text);
  EXPECT_EQ(read_text_file(path), text);
  test::write_file(path, "");
  EXPECT_EQ(read_text_file(path), "");
}

TEST(ReadTextFile, RefusesWhatIsAbsentAFolderOrTooLong) {
  const test::TemporaryFolder folder;
  const auto message = [](const fs::path& path) {
    return test::message_of<InputError>([&] { read_text_file(path, 10); });
  };
  const std::string path = (folder.path() / "f").string();
  EXPECT_EQ(message(path), path + ": cannot open: No such file or directory");
  EXPECT_EQ(message(folder.path()), folder.path().string() + ": found a folder, expected a file");
  test::write_file(path, "eleven char");
  EXPECT_EQ(message(path), path + ": length: found more than 10 bytes, expected fewer");
  EXPECT_NE(message("/dev/zero").find("more than 10 bytes"), std::string::npos);  // never ends
}

TEST(AtomicFile, APipeIsRefusedAndALinkFollowed) {
  const test::TemporaryFolder folder;
  const auto pipe = folder.path() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(test::message_of<InputError>([&] { write_file_atomically(pipe, "x"); }),
            pipe.string() + ": cannot write: it is a device or a pipe, expected a file");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  test::write_file(folder.path() / "target", "old");
  std::filesystem::create_symlink("target", folder.path() / "link");
  write_file_atomically(folder.path() / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder.path() / "link"));
  EXPECT_EQ(test::read_file(folder.path() / "target"), "new");
}

}  // namespace
}  // namespace plimsoll
