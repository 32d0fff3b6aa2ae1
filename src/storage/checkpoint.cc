#include "storage/checkpoint.h"

#include <system_error>

#include "storage/json.h"

namespace plimsoll {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";

/// A shard lies in the index's own folder: a downloaded index must not make us read other files.
bool stays_in_folder(const std::string& shard) {
  return !shard.empty() && shard.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos &&
         shard.find("..") == std::string::npos;
}

bool file_exists(const fs::path& path) {
  std::error_code unreadable_is_absent;
  return fs::exists(path, unreadable_is_absent);
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& path) {
  Checkpoint checkpoint;
  std::error_code unreadable_is_no_folder;
  if (!fs::is_directory(path, unreadable_is_no_folder)) {
    checkpoint.directory_ = path.has_parent_path() ? path.parent_path() : fs::path(".");
    checkpoint.open_single(path);
    return checkpoint;
  }
  checkpoint.directory_ = path;
  if (file_exists(path / kSingle)) {
    checkpoint.open_single(path / kSingle);
  } else if (file_exists(path / kIndex)) {
    checkpoint.open_sharded(path / kIndex);
  } else {
    const bool pickled = file_exists(path / "pytorch_model.bin") ||
                         file_exists(path / "pytorch_model.bin.index.json");
    throw InputError(path.string(), "weights",
                     pickled ? "a pickled pytorch_model.bin only" : "none",
                     fmt::format("{} or {}", kSingle, kIndex));
  }
  return checkpoint;
}

void Checkpoint::open_single(const fs::path& file) {
  listing_ = file;
  files_.push_back(SafetensorsFile::open(file));
  for (const auto& [name, info] : files_.front().tensors()) file_of_tensor_[name] = 0;
}

void Checkpoint::open_sharded(const fs::path& index) {
  listing_ = index;
  const std::string where = index.string();
  const Json json = read_json_file(index);
  const std::string inside = where + ": weight_map";
  std::map<std::string, std::size_t> opened;
  const Json& weight_map = require_object(json, "weight_map", where);
  if (weight_map.empty()) throw InputError(where, "weight_map", "no tensor", "at least one");
  for (const auto& [name, value] : weight_map.items()) {
    const std::string& shard = string_value(value, name, inside);
    if (!stays_in_folder(shard)) {
      throw InputError(inside, quote(name), quote(shard), "the name of a file in the same folder");
    }
    const auto [entry, is_new] = opened.emplace(shard, files_.size());
    if (is_new) {
      const fs::path file = index.parent_path() / shard;
      if (!file_exists(file)) {
        throw InputError(inside, quote(name), fmt::format("{}, a missing shard", quote(shard)),
                         "a file in the same folder");
      }
      files_.push_back(SafetensorsFile::open(file));
    }
    if (!files_[entry->second].has(name)) {
      throw InputError(inside, quote(name), fmt::format("{}, which lacks it", quote(shard)),
                       "the shard that holds the tensor");
    }
    file_of_tensor_[name] = entry->second;
  }
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  names.reserve(file_of_tensor_.size());
  for (const auto& [name, file] : file_of_tensor_) names.push_back(name);
  return names;
}

const SafetensorsFile& Checkpoint::shard_of(const std::string& name) const {
  const auto found = file_of_tensor_.find(name);
  if (found == file_of_tensor_.end()) {
    throw InputError(
        listing_.string(), fmt::format("tensor {}", quote(name)), "nothing",
        fmt::format("it among the {} tensors of the checkpoint", file_of_tensor_.size()));
  }
  return files_[found->second];
}

const TensorInfo& Checkpoint::info(const std::string& name) const {
  return shard_of(name).info(name);
}

Tensor Checkpoint::tensor(const std::string& name) const {
  return shard_of(name).tensor(name);
}

const fs::path& Checkpoint::file_of(const std::string& name) const {
  return shard_of(name).path();
}

std::uint64_t Checkpoint::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, file] : file_of_tensor_) bytes += files_[file].info(name).bytes();
  return bytes;
}

}  // namespace plimsoll
