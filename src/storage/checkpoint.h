// The tensors of a model: one safetensors file, or several with an index.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "storage/safetensors.h"

namespace plimsoll {

/// Opened and checked completely: every tensor named can be read.
class Checkpoint {
 public:
  /// `path` is a folder with model.safetensors, or with model.safetensors.index.json and the shards
  /// that it names; or a single safetensors file. InputError when there is none, when a file is
  /// broken, and when the index names a missing shard, a shard outside the folder, or a tensor that
  /// its shard lacks.
  static Checkpoint open(const std::filesystem::path& path);

  /// The folder that holds the files.
  const std::filesystem::path& directory() const { return directory_; }
  /// Sorted.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return file_of_tensor_.contains(name); }

  // All three: InputError naming the checkpoint and the tensor when there is none of that name.
  const TensorInfo& info(const std::string& name) const;
  /// A view into the mapped file, which it keeps alive (see SafetensorsFile::tensor).
  Tensor tensor(const std::string& name) const;
  const std::filesystem::path& file_of(const std::string& name) const;

  /// Bytes of all tensors.
  std::uint64_t bytes() const;

 private:
  void open_single(const std::filesystem::path& file);
  void open_sharded(const std::filesystem::path& index);
  const SafetensorsFile& shard_of(const std::string& name) const;

  std::filesystem::path directory_;
  std::filesystem::path listing_;  // the single file, or the index
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_tensor_;
};

}  // namespace plimsoll
