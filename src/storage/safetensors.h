// The safetensors format (github.com/huggingface/safetensors):
//
//   +----------------+---------------------------------------+--------------------------------+
//   | u64 LE: length | JSON header, padded with spaces       | data: the tensors back to back |
//   +----------------+---------------------------------------+--------------------------------+
//
// The header maps a name to {"dtype", "shape", "data_offsets": [begin, end]}, relative to the data;
// "__metadata__" maps strings to strings. The tensors must tile the data: no gap, no overlap,
// nothing behind the last.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/tensor.h"

namespace plimsoll {

struct TensorInfo {
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t begin = 0;  // first byte and one past the last, relative to the data
  std::uint64_t end = 0;

  std::uint64_t bytes() const { return end - begin; }
};

/// A file that has been checked completely: every tensor listed can be read.
class SafetensorsFile {
 public:
  /// Maps the file. InputError naming the file, the tensor, what was found and what was expected
  /// when the file breaks the format in any way or has a dtype that DType lacks.
  static SafetensorsFile open(const std::filesystem::path& path);
  /// The same from memory, which `owner` keeps alive (nullptr: the caller does). `name` stands for
  /// the path in messages.
  static SafetensorsFile from_bytes(const std::filesystem::path& name,
                                    std::span<const std::byte> bytes,
                                    std::shared_ptr<const void> owner);

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  bool has(const std::string& name) const { return tensors_.contains(name); }
  /// InputError naming the file and the tensor when there is none.
  const TensorInfo& info(const std::string& name) const;
  /// A read-only view into the file, which it keeps alive; a copy where the tensor is not aligned
  /// to its dtype (writers other than the reference one leave such files).
  Tensor tensor(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
  std::span<const std::byte> data_;
  std::shared_ptr<const void> owner_;
};

}  // namespace plimsoll
