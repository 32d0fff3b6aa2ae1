// Element types of tensors, as safetensors names them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/half.h"

namespace plimsoll {

enum class DType : std::uint8_t { f64, f32, f16, bf16, f8_e4m3, i64, i32, i16, i8, u8, boolean };

/// Bytes of one element.
std::size_t dtype_size(DType dtype);
/// safetensors' spelling: "F32", "BF16", "U8", "F8_E4M3", ...
std::string_view dtype_name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

template <class T>
struct DTypeOf;
#define PLIMSOLL_DTYPE_OF(type, value)            \
  template <>                                     \
  struct DTypeOf<type> {                          \
    static constexpr DType kValue = DType::value; \
  }
PLIMSOLL_DTYPE_OF(double, f64);
PLIMSOLL_DTYPE_OF(float, f32);
PLIMSOLL_DTYPE_OF(fp16, f16);
PLIMSOLL_DTYPE_OF(plimsoll::bf16, bf16);
PLIMSOLL_DTYPE_OF(fp8_e4m3, f8_e4m3);
PLIMSOLL_DTYPE_OF(std::int64_t, i64);
PLIMSOLL_DTYPE_OF(std::int32_t, i32);
PLIMSOLL_DTYPE_OF(std::int16_t, i16);
PLIMSOLL_DTYPE_OF(std::int8_t, i8);
PLIMSOLL_DTYPE_OF(std::uint8_t, u8);
#undef PLIMSOLL_DTYPE_OF

}  // namespace plimsoll
