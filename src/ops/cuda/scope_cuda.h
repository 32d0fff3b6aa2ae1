// What an operation on a GPU declares of its work.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/trace.h"
#include "ops/device.h"

namespace plimsoll::ops {

/// Declares the work of a kernel. While a trace is recorded the device is waited for, so that a
/// scope's time is its kernel's, the launch included.
class Scope {
 public:
  Scope(Device& device, std::string_view name, std::int64_t bytes, std::int64_t operations)
      : device_(device), scope_(name, bytes, operations, "fp16") {}
  ~Scope() {
    if (trace::recording()) device_.synchronize();
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Device& device_;
  trace::Scope scope_;
};

inline std::int64_t bytes(const Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.bytes());
}

}  // namespace plimsoll::ops
