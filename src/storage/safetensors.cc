#include "storage/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "storage/json.h"
#include "storage/mapped_file.h"

namespace plimsoll {

static_assert(std::endian::native == std::endian::little, "tensors are mapped as they are stored");

namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the reference reader's limit
constexpr std::string_view kMetadata = "__metadata__";

std::string known_dtypes() {
  std::string names;
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
    names += fmt::format("{}{}", i == 0 ? "" : ", ", dtype_name(static_cast<DType>(i)));
  }
  return names;
}

/// Multiplied from left to right as element_count() does, so that what passes here passes there.
std::optional<std::uint64_t> bytes_of(DType dtype, const Shape& shape) {
  std::int64_t count = 1;
  for (std::int64_t extent : shape) {
    if (__builtin_mul_overflow(count, extent, &count)) return std::nullopt;
  }
  std::int64_t bytes = 0;
  const auto size = static_cast<std::int64_t>(dtype_size(dtype));
  if (__builtin_mul_overflow(count, size, &bytes)) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::string shorter(const Shape& shape) {
  constexpr std::size_t kShown = 8;
  if (shape.size() <= kShown) return to_string(shape);
  return fmt::format("[{}, ... {} extents]", fmt::join(shape.begin(), shape.begin() + kShown, ", "),
                     shape.size());
}

/// One entry of the header, its size checked against dtype and shape, but not its place.
TensorInfo parse_info(const std::string& name, const Json& entry, const std::string& file) {
  const std::string where = fmt::format("{}: tensor {}", file, quote(name));
  if (!entry.is_object()) throw InputError(file, quote(name), describe(entry), "an object");

  TensorInfo info;
  const std::string& dtype = require_string(entry, "dtype", where);
  const std::optional<DType> known = dtype_from_name(dtype);
  if (!known) throw InputError(where, "dtype", quote(dtype), "one of " + known_dtypes());
  info.dtype = *known;

  for (const Json& extent : require_array(entry, "shape", where)) {
    info.shape.push_back(int_value(extent, "shape", where, 0));
  }
  const std::optional<std::uint64_t> bytes = bytes_of(info.dtype, info.shape);
  if (!bytes) throw InputError(where, "shape", shorter(info.shape), "fewer than 2^63 bytes");

  const Json& offsets = require_array(entry, "data_offsets", where);
  if (offsets.size() != 2)
    throw InputError(where, "data_offsets", describe(offsets), "two integers");
  info.begin = static_cast<std::uint64_t>(int_value(offsets[0], "data_offsets", where, 0));
  info.end = static_cast<std::uint64_t>(int_value(offsets[1], "data_offsets", where, 0));
  if (info.end < info.begin) {
    throw InputError(where, "data_offsets", fmt::format("[{}, {}]", info.begin, info.end),
                     "begin before end");
  }
  if (info.bytes() != *bytes) {
    throw InputError(where, "data_offsets", fmt::format("{} bytes", info.bytes()),
                     fmt::format("{} bytes for {} {}", *bytes, dtype, shorter(info.shape)));
  }
  return info;
}

/// The tensors must tile `size` bytes of data.
void check_tiling(const std::map<std::string, TensorInfo>& tensors, std::uint64_t size,
                  const std::string& file) {
  std::vector<const std::pair<const std::string, TensorInfo>*> in_file_order;
  in_file_order.reserve(tensors.size());
  for (const auto& tensor : tensors) in_file_order.push_back(&tensor);
  std::stable_sort(in_file_order.begin(), in_file_order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  std::uint64_t covered = 0;
  for (const auto* tensor : in_file_order) {
    const auto& [name, info] = *tensor;
    const std::string where = fmt::format("{}: tensor {}", file, quote(name));
    if (info.end > size) {
      throw InputError(where, "data_offsets", fmt::format("an end at byte {}", info.end),
                       fmt::format("at most {}, the bytes of data in the file", size));
    }
    if (info.begin != covered) {
      throw InputError(where, "data_offsets",
                       fmt::format("a begin at byte {} that leaves {}", info.begin,
                                   info.begin < covered ? "an overlap" : "a gap"),
                       fmt::format("{}, where the tensor before it ends", covered));
    }
    covered = info.end;
  }
  if (covered != size) {
    throw InputError(file, "data", fmt::format("{} bytes", size),
                     fmt::format("{}, where the last tensor ends", covered));
  }
}

std::map<std::string, std::string> parse_metadata(const Json& entry, const std::string& file) {
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : object_value(entry, kMetadata, file).items()) {
    metadata[key] = string_value(value, key, fmt::format("{}: {}", file, kMetadata));
  }
  return metadata;
}

}  // namespace

SafetensorsFile SafetensorsFile::open(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  return from_bytes(path, file->bytes(), file);
}

SafetensorsFile SafetensorsFile::from_bytes(const std::filesystem::path& name,
                                            std::span<const std::byte> bytes,
                                            std::shared_ptr<const void> owner) {
  const std::string where = name.string();
  if (bytes.size() < kLengthBytes) {
    throw InputError(where, "header length", fmt::format("a file of {} bytes", bytes.size()),
                     "at least 8");
  }
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kLongestHeader) {
    throw InputError(where, "header length", fmt::format("{} bytes", header_bytes),
                     fmt::format("at most {}", kLongestHeader));
  }
  if (header_bytes > bytes.size() - kLengthBytes) {
    throw InputError(where, "header length",
                     fmt::format("{} bytes in a file of {}", header_bytes, bytes.size()),
                     "a header that ends within the file");
  }

  SafetensorsFile file;
  file.path_ = name;
  file.owner_ = std::move(owner);
  file.data_ = bytes.subspan(kLengthBytes + header_bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                              header_bytes);
  const Json header = parse_json(text, where + ": header");
  if (!header.is_object()) throw InputError(where, "header", describe(header), "an object");
  for (const auto& [key, entry] : header.items()) {
    if (key == kMetadata) {
      file.metadata_ = parse_metadata(entry, where);
    } else {
      file.tensors_.emplace(key, parse_info(key, entry, where));
    }
  }
  check_tiling(file.tensors_, file.data_.size(), where);
  return file;
}

const TensorInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw InputError(path_.string(), fmt::format("tensor {}", quote(name)), "nothing",
                     fmt::format("it among the {} tensors of the file", tensors_.size()));
  }
  return found->second;
}

Tensor SafetensorsFile::tensor(const std::string& name) const {
  const TensorInfo& place = info(name);
  const std::byte* data = data_.data() + place.begin;
  if (reinterpret_cast<std::uintptr_t>(data) % dtype_size(place.dtype) == 0) {
    return Tensor::view(data, place.dtype, place.shape, owner_);
  }
  Tensor copy = Tensor::empty(place.dtype, place.shape);
  if (place.bytes() > 0) std::memcpy(copy.raw(), data, place.bytes());
  return copy;
}

}  // namespace plimsoll
