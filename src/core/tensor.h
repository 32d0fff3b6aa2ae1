// A dense row-major tensor in the host's memory or a GPU's: owning, or a view that keeps its owner
// alive.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/error.h"

namespace plimsoll {

/// Extents, outermost first. A scalar has none.
using Shape = std::vector<std::int64_t>;

/// Number of elements; InternalError on a negative extent or overflow.
std::int64_t element_count(const Shape& shape);
/// "[2, 48, 320]"
std::string to_string(const Shape& shape);

class DeviceMemory;

/// Copies share the storage (a handle, like torch.Tensor); clone() copies the elements.
/// Storage is 64-byte aligned; a view is aligned to its element's size.
/// A tensor lies in the host's memory or in a GPU's; nothing moves between them but by to_host()
/// and to_device().
class Tensor {
 public:
  Tensor() = default;

  /// Uninitialised. InputError when the machine has not the memory, saying how much was needed.
  static Tensor empty(DType dtype, Shape shape);
  static Tensor zeros(DType dtype, Shape shape);
  /// Elements at `data`, which `owner` keeps alive (nullptr: the caller does). Never written
  /// through when the memory is read-only (a mapped file).
  static Tensor view(const void* data, DType dtype, Shape shape, std::shared_ptr<const void> owner);
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape);
  /// Elements at `data` in `memory`, which `owner` keeps.
  static Tensor on_device(DeviceMemory& memory, void* data, DType dtype, Shape shape,
                          std::shared_ptr<const void> owner);

  bool defined() const { return data_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(std::size_t axis) const;
  std::int64_t size() const { return size_; }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * dtype_size(dtype_); }

  /// The GPU's memory that it lies in; nullptr: the host's.
  DeviceMemory* device() const { return device_; }

  /// The address, on whichever device.
  std::byte* raw() { return data_; }
  const std::byte* raw() const { return data_; }
  /// Typed access on the host; InternalError when T is not the dtype, or it lies elsewhere.
  template <class T>
  T* data() {
    PLIMSOLL_CHECK(device_ == nullptr, "the tensor lies on a GPU");
    return address<T>();
  }
  /// The address on whichever device, for those who know; InternalError when T is not the dtype.
  template <class T>
  T* address() const {
    PLIMSOLL_CHECK(DTypeOf<T>::kValue == dtype_, "tensor is {}", dtype_name(dtype_));
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  const T* data() const {
    return const_cast<Tensor*>(this)->data<T>();
  }
  template <class T>
  std::span<T> span() {
    return {data<T>(), static_cast<std::size_t>(size_)};
  }
  template <class T>
  std::span<const T> span() const {
    return {data<T>(), static_cast<std::size_t>(size_)};
  }

  /// Same elements, other shape of the same size.
  Tensor reshaped(Shape shape) const;
  /// Rows [begin, end) of the outermost axis, sharing the storage.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// A copy in the same memory.
  Tensor clone() const;
  /// In the host's memory: itself, or a copy, once the GPU has come to what it holds.
  Tensor to_host() const;
  /// A copy in `memory` of a tensor of the host's, for as long as it lives. InputError naming
  /// `what` where there is not enough.
  Tensor to_device(DeviceMemory& memory, std::string_view what) const;

 private:
  DType dtype_ = DType::f32;
  Shape shape_;
  std::int64_t size_ = 0;
  std::byte* data_ = nullptr;
  DeviceMemory* device_ = nullptr;
  std::shared_ptr<const void> owner_;
};

/// A floating-point tensor (f64, f32, f16, bf16) in another floating-point dtype, in parallel; the
/// same tensor when it has that dtype already. f64 is read only. InternalError for other dtypes.
Tensor converted(const Tensor& tensor, DType dtype);

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape) {
  Tensor tensor = empty(DTypeOf<T>::kValue, shape);
  PLIMSOLL_CHECK(tensor.size() == static_cast<std::int64_t>(values.size()));
  std::copy(values.begin(), values.end(), tensor.data<T>());
  return tensor;
}

}  // namespace plimsoll
