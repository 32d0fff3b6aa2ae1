// Values of a test on their way to a GPU and back.
#pragma once

#include <vector>

#include "core/cuda/memory_cuda.h"

namespace plimsoll::test {

template <class T>
cuda::Buffer uploaded(const std::vector<T>& values) {
  return cuda::Buffer::of<T>(values, "a test");
}

/// Memory for `count` values, every byte 0xff: NaN where nothing is written.
template <class T>
cuda::Buffer poisoned(std::size_t count) {
  cuda::Buffer buffer(count * sizeof(T), "a test");
  buffer.fill(0xff);
  return buffer;
}

template <class T>
std::vector<T> downloaded(const cuda::Buffer& buffer) {
  std::vector<T> values(buffer.bytes() / sizeof(T));
  buffer.download(values.data(), buffer.bytes(), 0);
  return values;
}

}  // namespace plimsoll::test
