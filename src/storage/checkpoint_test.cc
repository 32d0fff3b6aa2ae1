#include "storage/checkpoint.h"

#include <cstring>

#include "core/error.h"
#include "storage/safetensors_writer.h"
#include "support/support.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

/// A file of u8 tensors of one element, which holds the first letter of the tensor's name.
void write_shard(const fs::path& path, const std::vector<std::string>& names) {
  TensorSpecs specs;
  for (const std::string& name : names) specs.push_back({name, {DType::u8, {1}}});
  SafetensorsWriter writer(path, specs, {{"format", "pt"}});
  for (const std::string& name : names) {
    Tensor tensor = Tensor::empty(DType::u8, {1});
    tensor.data<std::uint8_t>()[0] = static_cast<std::uint8_t>(name[0]);
    writer.write(name, tensor);
  }
  writer.finish();
}

TEST(Checkpoint, OfOneFileIsTheSameByFolderAndByFile) {
  const fs::path folder = test::golden("llama-tiny");
  const Checkpoint by_folder = Checkpoint::open(folder);
  const Checkpoint by_file = Checkpoint::open(folder / "model.safetensors");
  EXPECT_EQ(by_folder.directory(), folder);
  EXPECT_EQ(by_file.directory(), folder);
  EXPECT_EQ(by_folder.names(), by_file.names());
  EXPECT_EQ(by_folder.names().size(), 21u);
  EXPECT_EQ(by_folder.bytes(), 591104u);
  EXPECT_EQ(by_folder.info("lm_head.weight").shape, (Shape{320, 64}));
  EXPECT_EQ(by_folder.file_of("lm_head.weight"), folder / "model.safetensors");
  EXPECT_EQ(by_folder.tensor("lm_head.weight").dtype(), DType::f32);
}

TEST(Checkpoint, OfShardsEqualsTheSameTensorsInOneFile) {
  const Checkpoint sharded = Checkpoint::open(test::golden("mistral-tiny-bf16-sharded"));
  ASSERT_EQ(sharded.names().size(), 21u);
  EXPECT_EQ(sharded.file_of("lm_head.weight").filename(), "model-00006-of-00006.safetensors");

  const test::TemporaryFolder folder;
  TensorSpecs specs;
  for (const std::string& name : sharded.names()) {
    specs.push_back({name, {sharded.info(name).dtype, sharded.info(name).shape}});
  }
  sort_as_reference(specs);
  SafetensorsWriter writer(folder.path() / "model.safetensors", specs, {{"format", "pt"}});
  for (const auto& [name, spec] : specs) writer.write(name, sharded.tensor(name));
  writer.finish();

  const Checkpoint single = Checkpoint::open(folder.path());
  EXPECT_EQ(single.names(), sharded.names());
  EXPECT_EQ(single.bytes(), sharded.bytes());
  for (const std::string& name : single.names()) {
    const Tensor a = single.tensor(name);
    const Tensor b = sharded.tensor(name);
    ASSERT_EQ(a.shape(), b.shape()) << name;
    ASSERT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << name;
  }
}

TEST(Checkpoint, TensorsOutliveIt) {
  Tensor tensor = Checkpoint::open(test::golden("llama-tiny")).tensor("model.norm.weight");
  EXPECT_EQ(tensor.shape(), (Shape{64}));
  EXPECT_GT(tensor.data<float>()[63], 0.0f);
}

TEST(Checkpoint, NamesTheTensorThatIsNotThere) {
  const fs::path folder = test::golden("mistral-tiny-bf16-sharded");
  const Checkpoint checkpoint = Checkpoint::open(folder);
  EXPECT_FALSE(checkpoint.has("model.norm.bias"));
  const std::string expected = (folder / "model.safetensors.index.json").string() +
                               R"(: tensor "model.norm.bias": found nothing, expected it among )"
                               "the 21 tensors of the checkpoint";
  EXPECT_EQ(test::message_of<InputError>([&] { checkpoint.info("model.norm.bias"); }), expected);
  EXPECT_EQ(test::message_of<InputError>([&] { checkpoint.tensor("model.norm.bias"); }), expected);
  EXPECT_EQ(test::message_of<InputError>([&] { checkpoint.file_of("model.norm.bias"); }), expected);
}

class Folders : public ::testing::Test {
 protected:
  std::string open_message() {
    return test::message_of<InputError>([&] { Checkpoint::open(folder_.path()); });
  }
  std::string index_message(const std::string& json) {
    const fs::path index = folder_.path() / "model.safetensors.index.json";
    test::write_file(index, json);
    const std::string message = open_message();
    EXPECT_TRUE(message.starts_with(index.string() + ": ")) << message;
    return message.substr(std::min(message.size(), index.string().size() + 2));
  }
  test::TemporaryFolder folder_;
};

TEST_F(Folders, WithoutWeightsAreRefused) {
  const std::string where = folder_.path().string();
  EXPECT_EQ(open_message(), where +
                                ": weights: found none, expected model.safetensors or "
                                "model.safetensors.index.json");
  test::write_file(folder_.path() / "pytorch_model.bin", "x");
  EXPECT_EQ(open_message(), where +
                                ": weights: found a pickled pytorch_model.bin only, expected "
                                "model.safetensors or model.safetensors.index.json");
  EXPECT_EQ(test::message_of<InputError>([&] { Checkpoint::open(where + "/absent"); }),
            where + "/absent: cannot open: No such file or directory");
}

TEST_F(Folders, ReadTheShardsThatTheIndexNames) {
  write_shard(folder_.path() / "1.safetensors", {"a", "b"});
  write_shard(folder_.path() / "2.safetensors", {"b", "c"});
  test::write_file(folder_.path() / "model.safetensors.index.json",
                   R"({"metadata":{"total_size":3},"weight_map":)"
                   R"({"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"}})");
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  EXPECT_EQ(checkpoint.file_of("b"), folder_.path() / "2.safetensors");
  EXPECT_EQ(checkpoint.bytes(), 3u);
  EXPECT_EQ(checkpoint.tensor("c").data<std::uint8_t>()[0], 'c');
}

TEST_F(Folders, WithABrokenIndexAreRefused) {
  write_shard(folder_.path() / "1.safetensors", {"a"});
  EXPECT_EQ(index_message("[]"), "weight_map: found nothing, expected an object");
  EXPECT_EQ(index_message("{}"), "weight_map: found nothing, expected an object");
  EXPECT_EQ(index_message(R"({"weight_map":{}})"),
            "weight_map: found no tensor, expected at least one");
  EXPECT_EQ(index_message(R"({"weight_map":[]})"),
            "weight_map: found an array of 0, expected an object");
  EXPECT_EQ(index_message(R"({"weight_map":{"a":1}})"),
            "weight_map: a: found 1, expected a string");
  EXPECT_EQ(index_message(R"({"weight_map":{"a":"2.safetensors"}})"),
            R"(weight_map: "a": found "2.safetensors", a missing shard, expected a file in the )"
            "same folder");
  EXPECT_EQ(index_message(R"({"weight_map":{"a":"1.safetensors","b":"1.safetensors"}})"),
            R"(weight_map: "b": found "1.safetensors", which lacks it, expected the shard that )"
            "holds the tensor");
  EXPECT_NE(index_message("{").find("JSON: found a syntax error"), std::string::npos);
}

TEST_F(Folders, WhoseIndexPointsElsewhereAreRefused) {
  // The shards exist: only the name is at fault.
  const fs::path inner = folder_.path() / "inner";
  fs::create_directory(inner);
  write_shard(folder_.path() / "1.safetensors", {"a"});
  write_shard(inner / "1.safetensors", {"a"});
  const std::vector<std::string> names{"inner/1.safetensors", "inner/../1.safetensors",
                                       (inner / "1.safetensors").string(), "..", ""};
  for (const std::string& name : names) {
    EXPECT_EQ(index_message(R"({"weight_map":{"a":")" + name + "\"}}"),
              "weight_map: \"a\": found \"" + name +
                  "\", expected the name of a file in the same folder");
  }
  EXPECT_NE(index_message(R"({"weight_map":{"a":"1.safetensors\u0000x"}})")
                .find(R"("1.safetensors\u0000x", expected the name)"),
            std::string::npos);
}

TEST_F(Folders, WithABrokenShardNameTheShard) {
  test::write_file(folder_.path() / "1.safetensors", "short");
  test::write_file(folder_.path() / "model.safetensors.index.json",
                   R"({"weight_map":{"a":"1.safetensors"}})");
  EXPECT_EQ(open_message(), (folder_.path() / "1.safetensors").string() +
                                ": header length: found a file of 5 bytes, expected at least 8");
}

}  // namespace
}  // namespace plimsoll
