#include "quant/rounding.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/threads.h"

namespace plimsoll::quant {

namespace {

template <class T>
void widen(const T* from, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] = to_float(from[i]);
}

bool all_finite(const float* values, std::int64_t count) {
  std::uint32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(values[i]) & 0x7fffffffu);
  }
  return largest < 0x7f800000u;
}

double element_of(const Tensor& weights, std::int64_t element) {
  switch (weights.dtype()) {
    case DType::f64:
      return weights.data<double>()[element];
    case DType::f32:
      return weights.data<float>()[element];
    case DType::f16:
      return to_float(weights.data<fp16>()[element]);
    default:
      return to_float(weights.data<bf16>()[element]);
  }
}

/// "[3, 17]"
std::string place_of(const Shape& shape, std::int64_t element) {
  Shape place(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0; element /= shape[axis]) {
    place[axis] = element % shape[axis];
  }
  return to_string(place);
}

[[noreturn]] void refuse_element(const Tensor& weights, std::int64_t first, const float* values,
                                 DType rounded_to, std::string_view name) {
  std::int64_t i = 0;
  while (all_finite(values + i, 1)) ++i;
  const double original = element_of(weights, first + i);
  throw InputError(
      name, "element " + place_of(weights.shape(), first + i), fmt::format("{}", original),
      std::isfinite(original) ? fmt::format("a value that {} can hold", dtype_name(rounded_to))
                              : std::string("a finite value"));
}

}  // namespace

void round_values(float* values, std::int64_t count, DType dtype) {
  switch (dtype) {
    case DType::f32:
      return;
    case DType::f16:
      for (std::int64_t i = 0; i < count; ++i) values[i] = round_to_f16(values[i]);
      return;
    case DType::bf16:
      for (std::int64_t i = 0; i < count; ++i) values[i] = to_float(to_bf16(values[i]));
      return;
    default:
      PLIMSOLL_CHECK(false, "weights rounded to {}", dtype_name(dtype));
  }
}

void load_weights(const Tensor& weights, std::int64_t first, std::int64_t count, DType rounded_to,
                  std::string_view name, float* out) {
  switch (weights.dtype()) {
    case DType::f64:
      std::transform(weights.data<double>() + first, weights.data<double>() + first + count, out,
                     [](double value) { return static_cast<float>(value); });
      break;
    case DType::f32:
      std::copy_n(weights.data<float>() + first, count, out);
      break;
    case DType::f16:
      widen(weights.data<fp16>() + first, count, out);
      break;
    case DType::bf16:
      widen(weights.data<bf16>() + first, count, out);
      break;
    default:
      PLIMSOLL_CHECK(false, "weights of {}", dtype_name(weights.dtype()));
  }
  if (rounded_to != weights.dtype()) {
    // round_to_f16 is not for NaN: look before rounding as well as after.
    if (!all_finite(out, count)) refuse_element(weights, first, out, rounded_to, name);
    round_values(out, count, rounded_to);
  }
  if (!all_finite(out, count)) refuse_element(weights, first, out, rounded_to, name);
}

void require_representable(const Tensor& values, DType dtype, std::string_view name) {
  constexpr std::int64_t kChunk = 1 << 14;
  const std::int64_t size = values.size();
  parallel_for((size + kChunk - 1) / kChunk, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> chunk(kChunk);
    for (std::int64_t first = begin * kChunk; first < std::min(end * kChunk, size);
         first += kChunk) {
      load_weights(values, first, std::min(kChunk, size - first), dtype, name, chunk.data());
    }
  });
}

void require_matrix(const Tensor& weights, std::string_view name) {
  const DType dtype = weights.dtype();
  if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16) {
    throw InputError(name, "dtype", dtype_name(dtype), "F32, F16 or BF16");
  }
  if (weights.shape().size() != 2) {
    throw InputError(name, "shape", to_string(weights.shape()), "[rows, columns]");
  }
}

}  // namespace plimsoll::quant
