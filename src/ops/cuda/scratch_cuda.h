// Memory of activations on a GPU: taken and given back all the time, so that the driver is asked
// only when nothing that is free is large enough.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string_view>

#include "core/cuda/memory_cuda.h"

namespace plimsoll::ops {

/// For work of one stream: what is given back may be used again by what is enqueued later, though
/// the GPU is not done with it.
class Scratch : public std::enable_shared_from_this<Scratch> {
 public:
  /// At least `bytes`, uninitialised, aligned to 256 bytes; given back when the last owner goes.
  /// InputError naming `what` where the GPU has not the memory.
  std::shared_ptr<std::byte> take(std::size_t bytes, std::string_view what);
  /// Gives what is free back to the driver.
  void trim() { free_.clear(); }

 private:
  cuda::Buffer allocate(std::size_t bytes, std::string_view what);

  std::multimap<std::size_t, cuda::Buffer> free_;  // by size
};

}  // namespace plimsoll::ops
