#include "storage/safetensors_writer.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "storage/safetensors.h"
#include "support/support.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

void write_copy(const SafetensorsFile& file, const fs::path& path) {
  TensorSpecs specs;
  for (const auto& [name, info] : file.tensors()) specs.push_back({name, {info.dtype, info.shape}});
  std::reverse(specs.begin(), specs.end());  // the sort has to restore the order by itself
  sort_as_reference(specs);
  SafetensorsWriter writer(path, specs, file.metadata());
  for (const auto& [name, spec] : specs) writer.write(name, file.tensor(name));
  writer.finish();
}

// Every golden file was written by the reference implementation. It keeps metadata in a hash table:
// several keys come in any order, and only the bytes behind the header can be compared.
TEST(SafetensorsWriter, WritesEveryReferenceFileByteForByte) {
  const test::TemporaryFolder folder;
  int whole_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(test::source_path("tests/golden"))) {
    if (entry.path().extension() != ".safetensors") continue;
    const fs::path path = folder.path() / "copy";
    const SafetensorsFile file = SafetensorsFile::open(entry.path());
    write_copy(file, path);
    std::string copy = test::read_file(path);
    std::string original = test::read_file(entry.path());
    ASSERT_EQ(copy.size(), original.size()) << entry.path();
    const bool whole = file.metadata().size() <= 1;
    if (!whole) {
      const std::size_t header_end = 8 + static_cast<std::uint8_t>(original[0]) +
                                     (static_cast<std::uint8_t>(original[1]) << 8);
      copy.erase(8, header_end - 8);
      original.erase(8, header_end - 8);
    }
    EXPECT_TRUE(copy == original) << entry.path();
    whole_files += whole ? 1 : 0;
  }
  EXPECT_GE(whole_files, 28);
}

TEST(SafetensorsWriter, PadsTheHeaderAndOrdersByDtypeThenName) {
  TensorSpecs specs{
      {"a", {DType::u8, {1}}},  {"b", {DType::f16, {1}}},     {"c", {DType::i64, {1}}},
      {"d", {DType::f32, {}}},  {"e", {DType::bf16, {1}}},    {"f", {DType::f64, {1}}},
      {"g", {DType::i8, {1}}},  {"h", {DType::boolean, {1}}}, {"i", {DType::f8_e4m3, {1}}},
      {"j", {DType::i32, {0}}}, {"k", {DType::i16, {1}}},     {"A", {DType::u8, {1}}}};
  sort_as_reference(specs);
  std::string order;
  for (const auto& [name, spec] : specs) order += name;
  EXPECT_EQ(order, "cfdjebkigAah");

  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  SafetensorsWriter writer(path, {{"x\"\n\x7f", {DType::u8, {2}}}}, {});
  const Tensor tensor = Tensor::zeros(DType::u8, {2});
  writer.write("x\"\n\x7f", tensor);
  writer.finish();
  const std::string header =
      "{\"x\\\"\\n\x7f\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}      ";
  ASSERT_EQ(header.size(), 64u);  // 58 without the padding
  EXPECT_EQ(test::read_file(path),
            std::string("\x40\0\0\0\0\0\0\0", 8) + header + std::string(2, '\0'));
  EXPECT_TRUE(SafetensorsFile::open(path).has("x\"\n\x7f"));
}

TEST(SafetensorsWriter, LeavesNoFileUntilItIsFinished) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  {
    SafetensorsWriter writer(path, {{"a", {DType::u8, {2}}}}, {});
    EXPECT_THROW(writer.finish(), InternalError);
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(SafetensorsWriter, ChecksThatTheTensorIsTheOneDeclared) {
  const test::TemporaryFolder folder;
  SafetensorsWriter writer(folder.path() / "f", {{"a", {DType::u8, {2}}}, {"b", {DType::u8, {2}}}},
                           {});
  const Tensor tensor = Tensor::zeros(DType::u8, {2});
  EXPECT_THROW(writer.write("b", tensor), InternalError);
  EXPECT_THROW(writer.write("a", Tensor::zeros(DType::i8, {2})), InternalError);
  EXPECT_THROW(writer.write("a", Tensor::zeros(DType::u8, {1, 2})), InternalError);
  writer.write("a", tensor);
  EXPECT_THROW(writer.write("a", tensor), InternalError);
  writer.write("b", tensor);
  EXPECT_THROW(writer.write("c", tensor), InternalError);
}

TEST(SafetensorsWriter, RefusesNamesThatTheFormatCannotHold) {
  const test::TemporaryFolder folder;
  const fs::path path = folder.path() / "f";
  const TensorSpec spec{DType::u8, {1}};
  EXPECT_THROW(SafetensorsWriter(path, {{"a", spec}, {"a", spec}}, {}), InternalError);
  EXPECT_THROW(SafetensorsWriter(path, {{"__metadata__", spec}}, {}), InternalError);
  EXPECT_EQ(test::message_of<InputError>([&] {
              SafetensorsWriter(path, {{"\xff", spec}}, {});
            }),
            path.string() + R"(: header: found "\xff", expected text in UTF-8)");
}

}  // namespace
}  // namespace plimsoll
