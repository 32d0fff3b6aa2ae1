// Writing safetensors files byte for byte as the reference writer does.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "storage/atomic_file.h"

namespace plimsoll {

struct TensorSpec {
  DType dtype = DType::f32;
  Shape shape;
};
/// Names and specs in file order.
using TensorSpecs = std::vector<std::pair<std::string, TensorSpec>>;

/// The order of the reference writer: wider dtypes first, which aligns every tensor without
/// padding; then by name.
void sort_as_reference(TensorSpecs& specs);

/// Streams a file, one tensor in memory at a time. The file appears at `path` on finish() and not
/// before (AtomicFile).
class SafetensorsWriter {
 public:
  /// Hugging Face's loaders ask for {"format": "pt"} in `metadata`. InputError when the file cannot
  /// be written or a name is not UTF-8; InternalError when a name occurs twice.
  SafetensorsWriter(const std::filesystem::path& path, TensorSpecs specs,
                    const std::map<std::string, std::string>& metadata);

  /// The next tensor of the specs: InternalError when name, dtype or shape is another.
  void write(const std::string& name, const Tensor& tensor);
  /// InternalError when a tensor has not been written.
  void finish();

 private:
  AtomicFile file_;
  TensorSpecs specs_;
  std::size_t next_ = 0;
};

}  // namespace plimsoll
