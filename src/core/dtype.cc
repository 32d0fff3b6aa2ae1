#include "core/dtype.h"

#include <array>

namespace plimsoll {

namespace {

struct Entry {
  DType dtype;
  std::size_t size;
  std::string_view name;
};

constexpr std::array<Entry, 11> kEntries{{{DType::f64, 8, "F64"},
                                          {DType::f32, 4, "F32"},
                                          {DType::f16, 2, "F16"},
                                          {DType::bf16, 2, "BF16"},
                                          {DType::f8_e4m3, 1, "F8_E4M3"},
                                          {DType::i64, 8, "I64"},
                                          {DType::i32, 4, "I32"},
                                          {DType::i16, 2, "I16"},
                                          {DType::i8, 1, "I8"},
                                          {DType::u8, 1, "U8"},
                                          {DType::boolean, 1, "BOOL"}}};

}  // namespace

std::size_t dtype_size(DType dtype) {
  return kEntries[static_cast<std::size_t>(dtype)].size;
}

std::string_view dtype_name(DType dtype) {
  return kEntries[static_cast<std::size_t>(dtype)].name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.dtype;
  }
  return std::nullopt;
}

}  // namespace plimsoll
