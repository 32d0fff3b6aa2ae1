#include "core/tensor.h"

#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/device_memory.h"
#include "core/memory.h"
#include "core/threads.h"

namespace plimsoll {

namespace {

template <class From, class To>
void convert_elements(const Tensor& from, Tensor& to) {
  const From* source = from.data<From>();
  To* target = to.data<To>();
  parallel_for(from.size(), 1 << 14, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if constexpr (std::is_same_v<From, double>) {
        target[i] = from_float<To>(static_cast<float>(source[i]));
      } else {
        target[i] = from_float<To>(to_float(source[i]));
      }
    }
  });
}

template <class From>
void convert_from(const Tensor& from, Tensor& to) {
  switch (to.dtype()) {
    case DType::f32:
      return convert_elements<From, float>(from, to);
    case DType::f16:
      return convert_elements<From, fp16>(from, to);
    case DType::bf16:
      return convert_elements<From, bf16>(from, to);
    default:
      PLIMSOLL_CHECK(false, "no conversion to {}", dtype_name(to.dtype()));
  }
}

}  // namespace

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (std::int64_t extent : shape) {
    PLIMSOLL_CHECK(extent >= 0, "negative extent in {}", to_string(shape));
    PLIMSOLL_CHECK(!__builtin_mul_overflow(count, extent, &count), "{} overflows",
                   to_string(shape));
  }
  return count;
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Tensor Tensor::empty(DType dtype, Shape shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.size_ = element_count(shape);
  tensor.shape_ = std::move(shape);
  constexpr std::size_t kAlignment = 64;
  const std::size_t bytes = (tensor.bytes() + kAlignment - 1) / kAlignment * kAlignment;
  void* data = allocate_aligned(bytes == 0 ? kAlignment : bytes, kAlignment);
  tensor.owner_ =
      std::shared_ptr<const void>(data, [](const void* p) { std::free(const_cast<void*>(p)); });
  tensor.data_ = static_cast<std::byte*>(data);
  return tensor;
}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  Tensor tensor = empty(dtype, std::move(shape));
  if (tensor.bytes() > 0) std::memset(tensor.data_, 0, tensor.bytes());
  return tensor;
}

Tensor Tensor::view(const void* data, DType dtype, Shape shape, std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.size_ = element_count(shape);
  tensor.shape_ = std::move(shape);
  tensor.data_ = static_cast<std::byte*>(const_cast<void*>(data));
  tensor.owner_ = std::move(owner);
  return tensor;
}

Tensor Tensor::on_device(DeviceMemory& memory, void* data, DType dtype, Shape shape,
                         std::shared_ptr<const void> owner) {
  Tensor tensor = view(data, dtype, std::move(shape), std::move(owner));
  tensor.device_ = &memory;
  return tensor;
}

std::int64_t Tensor::dim(std::size_t axis) const {
  PLIMSOLL_CHECK(axis < shape_.size(), "axis {} of {}", axis, to_string(shape_));
  return shape_[axis];
}

Tensor Tensor::reshaped(Shape shape) const {
  PLIMSOLL_CHECK(element_count(shape) == size_, "{} as {}", to_string(shape_), to_string(shape));
  Tensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  PLIMSOLL_CHECK(!shape_.empty() && 0 <= begin && begin <= end && end <= shape_[0],
                 "rows {}..{} of {}", begin, end, to_string(shape_));
  Tensor tensor = *this;
  const std::int64_t row_size = shape_[0] == 0 ? 0 : size_ / shape_[0];
  tensor.shape_[0] = end - begin;
  tensor.size_ = row_size * (end - begin);
  tensor.data_ += static_cast<std::size_t>(begin * row_size) * dtype_size(dtype_);
  return tensor;
}

Tensor Tensor::clone() const {
  if (device_ != nullptr) {
    Tensor tensor = device_->allocate(dtype_, shape_, "a copy of a tensor");
    device_->copy(data_, tensor.data_, bytes());
    return tensor;
  }
  Tensor tensor = empty(dtype_, shape_);
  if (bytes() > 0) std::memcpy(tensor.data_, data_, bytes());
  return tensor;
}

Tensor Tensor::to_host() const {
  if (device_ == nullptr) return *this;
  Tensor tensor = empty(dtype_, shape_);
  device_->download(data_, tensor.data_, bytes());
  return tensor;
}

Tensor Tensor::to_device(DeviceMemory& memory, std::string_view what) const {
  PLIMSOLL_CHECK(device_ == nullptr);
  Tensor tensor = memory.allocate(dtype_, shape_, what);
  memory.upload(data_, tensor.data_, bytes());
  return tensor;
}

Tensor converted(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  Tensor result = Tensor::empty(dtype, tensor.shape());
  switch (tensor.dtype()) {
    case DType::f64:
      convert_from<double>(tensor, result);
      break;
    case DType::f32:
      convert_from<float>(tensor, result);
      break;
    case DType::f16:
      convert_from<fp16>(tensor, result);
      break;
    case DType::bf16:
      convert_from<bf16>(tensor, result);
      break;
    default:
      PLIMSOLL_CHECK(false, "no conversion from {}", dtype_name(tensor.dtype()));
  }
  return result;
}

}  // namespace plimsoll
