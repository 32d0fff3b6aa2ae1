#include "storage/safetensors.h"

#include <cstring>
#include <memory>
#include <vector>

#include "support/support.h"

namespace plimsoll {
namespace {

/// A file of this header and `data_bytes` bytes 0, 1, 2, ... of data. No padding.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  file += header;
  for (std::size_t i = 0; i < data_bytes; ++i) file += static_cast<char>(i);
  return file;
}

SafetensorsFile parse(const std::string& file) {
  const auto bytes = std::make_shared<const std::string>(file);
  return SafetensorsFile::from_bytes("f.safetensors", std::as_bytes(std::span(*bytes)), bytes);
}

std::string message(const std::string& file) {
  return test::message_of<InputError>([&] { parse(file); });
}
std::string message(const std::string& header, std::size_t data_bytes) {
  return message(file_of(header, data_bytes));
}

TEST(Safetensors, GivesTensorsAndMetadata) {
  const SafetensorsFile file = parse(file_of(
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[2,2],"data_offsets":[4,8]},)"
      R"("b":{"dtype":"I16","shape":[2],"data_offsets":[0,4]},)"
      R"("none":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},)"
      R"("scalar":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}   )",
      9));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  EXPECT_EQ(file.tensors().size(), 4u);
  const Tensor a = file.tensor("a");
  EXPECT_EQ(a.shape(), (Shape{2, 2}));
  EXPECT_EQ(std::vector<std::uint8_t>(a.span<std::uint8_t>().begin(), a.span<std::uint8_t>().end()),
            (std::vector<std::uint8_t>{4, 5, 6, 7}));
  EXPECT_EQ(file.tensor("b").data<std::int16_t>()[1], 0x0302);
  EXPECT_EQ(file.tensor("none").size(), 0);
  EXPECT_EQ(file.tensor("scalar").dtype(), DType::boolean);
  EXPECT_EQ(file.tensor("scalar").size(), 1);
  EXPECT_TRUE(file.has("a"));
  EXPECT_FALSE(file.has("__metadata__"));
}

TEST(Safetensors, TensorsKeepTheFileAlive) {
  const auto owner = std::make_shared<const std::string>(
      file_of(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 3));
  Tensor tensor;
  {
    const SafetensorsFile file =
        SafetensorsFile::from_bytes("f", std::as_bytes(std::span(*owner)), owner);
    tensor = file.tensor("a");
  }
  EXPECT_EQ(owner.use_count(), 2);
  EXPECT_EQ(tensor.raw() + 3, reinterpret_cast<const std::byte*>(owner->data() + owner->size()));
}

TEST(Safetensors, CopiesTensorsThatAreNotAligned) {
  const SafetensorsFile file =
      parse(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                    R"("b":{"dtype":"I32","shape":[1],"data_offsets":[1,5]},)"
                    R"("c":{"dtype":"I64","shape":[1],"data_offsets":[5,13]}})",
                    13));
  for (const char* name : {"b", "c"}) {
    const Tensor tensor = file.tensor(name);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.raw()) % dtype_size(tensor.dtype()), 0u);
  }
  EXPECT_EQ(file.tensor("b").data<std::int32_t>()[0], 0x04030201);
  EXPECT_EQ(file.tensor("c").data<std::int64_t>()[0], 0x0c0b0a0908070605);
}

TEST(Safetensors, NamesTheTensorThatIsNotThere) {
  const SafetensorsFile file = parse(file_of("{}", 0));
  EXPECT_EQ(test::message_of<InputError>([&] { file.tensor("x\n"); }),
            R"(f.safetensors: tensor "x\n": found nothing, expected it among the 0 tensors of the )"
            "file");
}

TEST(Safetensors, RefusesFilesThatEndBeforeTheirHeaderDoes) {
  EXPECT_EQ(message(""),
            "f.safetensors: header length: found a file of 0 bytes, expected at least 8");
  EXPECT_EQ(message(std::string(7, '\0')),
            "f.safetensors: header length: found a file of 7 bytes, expected at least 8");
  EXPECT_EQ(message(file_of("{}    ", 0).substr(0, 13)),
            "f.safetensors: header length: found 6 bytes in a file of 13, expected a header that "
            "ends within the file");
  EXPECT_EQ(message(std::string(8, '\xff')),
            "f.safetensors: header length: found 18446744073709551615 bytes, expected at most "
            "100000000");
  std::string above_limit(8, '\0');
  const std::uint64_t length = 100'000'001;
  std::memcpy(above_limit.data(), &length, sizeof length);
  EXPECT_EQ(message(above_limit),
            "f.safetensors: header length: found 100000001 bytes, expected at most 100000000");
}

TEST(Safetensors, RefusesHeadersThatAreNoJsonObject) {
  EXPECT_EQ(message("", 0),
            "f.safetensors: header: JSON: found a syntax error at line 1, column 1, expected valid "
            "JSON in UTF-8");
  EXPECT_EQ(message("{]", 0),
            "f.safetensors: header: JSON: found a syntax error at line 1, column 2, expected valid "
            "JSON in UTF-8");
  EXPECT_NE(message("{\"\xff\"", 0).find("syntax error"), std::string::npos);
  EXPECT_EQ(message("[1]", 0), "f.safetensors: header: found an array of 1, expected an object");
  EXPECT_EQ(message(std::string(1 << 20, '['), 0),
            "f.safetensors: header: JSON: found more than 100 nested levels, expected fewer");
  EXPECT_EQ(message(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                    R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                    0),
            R"(f.safetensors: header: "a": found it twice in one object, expected it once)");
}

TEST(Safetensors, RefusesMetadataThatIsNotTextToText) {
  EXPECT_EQ(message(R"({"__metadata__":[]})", 0),
            "f.safetensors: __metadata__: found an array of 0, expected an object");
  EXPECT_EQ(message(R"({"__metadata__":{"k":1}})", 0),
            "f.safetensors: __metadata__: k: found 1, expected a string");
  EXPECT_EQ(message(R"({"__metadata__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
            "f.safetensors: __metadata__: data_offsets: found an array of 2, expected a string");
}

struct BadEntry {
  std::string entry;  // of tensor "w", in a file with 8 bytes of data
  std::string expected;
};

class BadEntries : public ::testing::TestWithParam<BadEntry> {};

TEST_P(BadEntries, AreNamed) {
  EXPECT_EQ(message("{\"w\":" + GetParam().entry + "}", 8),
            "f.safetensors: " + GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Safetensors, BadEntries,
    ::testing::Values(
        BadEntry{"3", R"("w": found 3, expected an object)"},
        BadEntry{R"({"shape":[8],"data_offsets":[0,8]})",
                 R"(tensor "w": dtype: found nothing, expected a string)"},
        BadEntry{R"({"dtype":"F33","shape":[8],"data_offsets":[0,8]})",
                 R"(tensor "w": dtype: found "F33", expected one of F64, F32, F16, BF16, F8_E4M3, )"
                 "I64, I32, I16, I8, U8, BOOL"},
        BadEntry{R"({"dtype":"U8","data_offsets":[0,8]})",
                 R"(tensor "w": shape: found nothing, expected an array)"},
        BadEntry{R"({"dtype":"U8","shape":[-8],"data_offsets":[0,8]})",
                 R"(tensor "w": shape: found -8, expected an integer of at least 0)"},
        BadEntry{R"({"dtype":"U8","shape":[8.0],"data_offsets":[0,8]})",
                 R"(tensor "w": shape: found 8.0, expected an integer of at least 0)"},
        BadEntry{R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,8]})",
                 R"(tensor "w": shape: found 18446744073709551615, expected an integer of at )"
                 "least 0"},
        BadEntry{R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,8]})",
                 R"(tensor "w": shape: found [4294967296, 4294967296], expected fewer than 2^63 )"
                 "bytes"},
        BadEntry{R"({"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]})",
                 R"(tensor "w": shape: found [2305843009213693953], expected fewer than 2^63 )"
                 "bytes"},
        BadEntry{R"({"dtype":"U8","shape":[1,1,1,1,1,1,1,4294967296,4294967296],)"
                 R"("data_offsets":[0,8]})",
                 R"(tensor "w": shape: found [1, 1, 1, 1, 1, 1, 1, 4294967296, ... 9 extents], )"
                 "expected fewer than 2^63 bytes"},
        BadEntry{R"({"dtype":"U8","shape":[8]})",
                 R"(tensor "w": data_offsets: found nothing, expected an array)"},
        BadEntry{R"({"dtype":"U8","shape":[8],"data_offsets":[0,8,8]})",
                 R"(tensor "w": data_offsets: found an array of 3, expected two integers)"},
        BadEntry{R"({"dtype":"U8","shape":[8],"data_offsets":[-1,7]})",
                 R"(tensor "w": data_offsets: found -1, expected an integer of at least 0)"},
        BadEntry{R"({"dtype":"U8","shape":[8],"data_offsets":[8,0]})",
                 R"(tensor "w": data_offsets: found [8, 0], expected begin before end)"},
        BadEntry{R"({"dtype":"F32","shape":[1],"data_offsets":[0,8]})",
                 R"(tensor "w": data_offsets: found 8 bytes, expected 4 bytes for F32 [1])"},
        BadEntry{R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})",
                 R"(tensor "w": data_offsets: found an end at byte 9, expected at most 8, the )"
                 "bytes of data in the file"},
        BadEntry{R"({"dtype":"U8","shape":[7],"data_offsets":[1,8]})",
                 R"(tensor "w": data_offsets: found a begin at byte 1 that leaves a gap, expected )"
                 "0, where the tensor before it ends"},
        BadEntry{R"({"dtype":"U8","shape":[7],"data_offsets":[0,7]})",
                 "data: found 8 bytes, expected 7, where the last tensor ends"}));

TEST(Safetensors, RefusesGapsAndOverlapsBetweenTensors) {
  const auto pair_with = [](const std::string& second) {
    return message(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":)" + second + "}",
                   8);
  };
  EXPECT_EQ(pair_with(R"({"dtype":"U8","shape":[5],"data_offsets":[3,8]})"),
            R"(f.safetensors: tensor "b": data_offsets: found a begin at byte 3 that leaves an )"
            "overlap, expected 4, where the tensor before it ends");
  EXPECT_EQ(pair_with(R"({"dtype":"U8","shape":[3],"data_offsets":[5,8]})"),
            R"(f.safetensors: tensor "b": data_offsets: found a begin at byte 5 that leaves a )"
            "gap, expected 4, where the tensor before it ends");
  // Nothing, but in the middle of another tensor.
  EXPECT_NE(pair_with(R"({"dtype":"U8","shape":[0],"data_offsets":[2,2]})").find("overlap"),
            std::string::npos);
}

TEST(Safetensors, NeverShowsTextOfTheFileRawOrAtLength) {
  const std::string text = message(
      R"({"\u001b[2J\n)" + std::string(5000, 'x') + R"(":{"dtype":"\u0007","shape":[]}})", 8);
  EXPECT_LT(text.size(), 300u);
  EXPECT_EQ(text.find_first_of("\x1b\n\x07"), std::string::npos) << text;
  EXPECT_NE(text.find("(5005 bytes)"), std::string::npos) << text;
}

TEST(Safetensors, OpensAFile) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "f.safetensors";
  test::write_file(path, file_of(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 3));
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(file.tensor("a").data<std::uint8_t>()[2], 2);
  test::write_file(path, "{\"a\":1}");
  EXPECT_EQ(test::message_of<InputError>([&] { SafetensorsFile::open(path); }),
            path.string() + ": header length: found a file of 7 bytes, expected at least 8");
}

}  // namespace
}  // namespace plimsoll
