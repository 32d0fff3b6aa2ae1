#include "kernels/widen/widen.h"

#include <cstring>

#include "core/cpu.h"
#include "core/error.h"

namespace plimsoll::kernels {

namespace {

template <class T>
void widen_each(const void* source, std::int64_t count, float* target) {
  const T* elements = static_cast<const T*>(source);
  for (std::int64_t i = 0; i < count; ++i) target[i] = to_float(elements[i]);
}

}  // namespace

void widen(const void* source, DType dtype, std::int64_t count, float* target) {
  switch (dtype) {
    case DType::f32:
      std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case DType::bf16:
      return widen_each<bf16>(source, count, target);
    case DType::f16:
      if (current_isa() >= Isa::avx2) {
        return widen_f16_avx2(static_cast<const std::uint16_t*>(source), count, target);
      }
      return widen_each<fp16>(source, count, target);
    default:
      PLIMSOLL_CHECK(false, "no widening of {}", dtype_name(dtype));
  }
}

}  // namespace plimsoll::kernels
