#include "storage/safetensors_writer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "storage/json.h"

namespace plimsoll {

namespace {

/// Place in the reference's list of dtypes, which it keeps "in increasing alignment order" and
/// sorts by.
int reference_rank(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return 0;
    case DType::u8:
      return 1;
    case DType::i8:
      return 2;
    case DType::f8_e4m3:
      return 3;
    case DType::i16:
      return 4;
    case DType::f16:
      return 5;
    case DType::bf16:
      return 6;
    case DType::i32:
      return 7;
    case DType::f32:
      return 8;
    case DType::f64:
      return 9;
    case DType::i64:
      return 10;
  }
  PLIMSOLL_CHECK(false, "dtype {}", static_cast<int>(dtype));
}

/// `text` as a JSON string.
std::string json_string(const std::string& text, const std::filesystem::path& path) {
  try {
    return Json(text).dump();
  } catch (const Json::type_error&) {
    throw InputError(path.string(), "header", quote(text), "text in UTF-8");
  }
}

/// Without the padding. Built by hand: the order of the keys is the order of the data.
std::string header_text(const TensorSpecs& specs,
                        const std::map<std::string, std::string>& metadata,
                        const std::filesystem::path& path) {
  std::vector<std::string> entries;
  if (!metadata.empty()) {
    std::vector<std::string> pairs;
    pairs.reserve(metadata.size());
    for (const auto& [key, value] : metadata) {
      pairs.push_back(json_string(key, path) + ':' + json_string(value, path));
    }
    entries.push_back(fmt::format(R"("__metadata__":{{{}}})", fmt::join(pairs, ",")));
  }
  std::uint64_t begin = 0;
  for (const auto& [name, spec] : specs) {
    const std::uint64_t end =
        begin + static_cast<std::uint64_t>(element_count(spec.shape)) * dtype_size(spec.dtype);
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  json_string(name, path), dtype_name(spec.dtype),
                                  fmt::join(spec.shape, ","), begin, end));
    begin = end;
  }
  return fmt::format("{{{}}}", fmt::join(entries, ","));
}

}  // namespace

void sort_as_reference(TensorSpecs& specs) {
  std::sort(specs.begin(), specs.end(), [](const auto& a, const auto& b) {
    const int rank_a = reference_rank(a.second.dtype);
    const int rank_b = reference_rank(b.second.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a.first < b.first;
  });
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, TensorSpecs specs,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), specs_(std::move(specs)) {
  std::set<std::string> names{"__metadata__"};
  for (const auto& [name, spec] : specs_) {
    PLIMSOLL_CHECK(names.insert(name).second, "tensor {} twice", quote(name));
  }
  std::string header = header_text(specs_, metadata, path);
  constexpr std::size_t kAlignment = 8;
  header.resize((header.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const std::uint64_t header_bytes = header.size();
  file_.write(std::as_bytes(std::span(&header_bytes, 1)));
  file_.write(header);
}

void SafetensorsWriter::write(const std::string& name, const Tensor& tensor) {
  PLIMSOLL_CHECK(next_ < specs_.size(), "{} behind the last tensor", name);
  const auto& [expected_name, spec] = specs_[next_];
  PLIMSOLL_CHECK(name == expected_name, "{} where {} is next", name, expected_name);
  PLIMSOLL_CHECK(tensor.dtype() == spec.dtype && tensor.shape() == spec.shape,
                 "{} is {} {}, not {} {}", name, dtype_name(tensor.dtype()),
                 to_string(tensor.shape()), dtype_name(spec.dtype), to_string(spec.shape));
  file_.write(std::span(tensor.raw(), tensor.bytes()));
  ++next_;
}

void SafetensorsWriter::finish() {
  PLIMSOLL_CHECK(next_ == specs_.size(), "{} of {} tensors written", next_, specs_.size());
  file_.commit();
}

}  // namespace plimsoll
