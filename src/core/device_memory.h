// A GPU's memory, for tensors and for those who copy into it. What computes on it is ops::Device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/tensor.h"

namespace plimsoll {

/// Copies are in order with what the GPU was told to do before them.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  /// Uninitialised, for something that stays (weights, a cache). InputError naming `what` where
  /// there is not enough.
  virtual Tensor allocate(DType dtype, Shape shape, std::string_view what) = 0;
  /// InputError naming `what` where so many bytes are not free: before many allocations.
  virtual void require(std::uint64_t bytes, std::string_view what) = 0;
  /// From the host's memory, which may change once it returns.
  virtual void upload(const void* source, void* target, std::size_t bytes) = 0;
  /// To the host's memory; returns when it is there.
  virtual void download(const void* source, void* target, std::size_t bytes) = 0;
  /// Within the device.
  virtual void copy(const void* source, void* target, std::size_t bytes) = 0;
};

}  // namespace plimsoll
