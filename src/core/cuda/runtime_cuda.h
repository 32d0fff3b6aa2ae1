// CUDA's runtime with every call checked, and its handles as objects that clean up. Only for files
// whose names end in _cuda: others build without CUDA's headers. No header of ours is included
// here: nvcc 13 does not take fmt 9.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <utility>

namespace plimsoll::cuda {

/// Throws: a call that the code makes as it should and that fails is a broken invariant (a kernel
/// that wrote out of bounds, a lost GPU), so InternalError. A lack of memory is an InputError, the
/// allocator's (memory_cuda.h) or, for what CUDA takes by itself, this one.
[[noreturn]] void call_failed(cudaError_t error, const char* call, const char* file, int line);

inline void check_call(cudaError_t error, const char* call, const char* file, int line) {
  if (error != cudaSuccess) [[unlikely]]
    call_failed(error, call, file, line);
}

#define PLIMSOLL_CUDA_CHECK(call) ::plimsoll::cuda::check_call(call, #call, __FILE__, __LINE__)

/// A handle that one of CUDA's functions makes and another destroys; moved, never copied.
template <class Handle, cudaError_t (*kDestroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  ~Owned() {
    if (handle_ != nullptr) kDestroy(handle_);
  }
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

/// Frees what cudaMallocHost gave: an Owned's destroyer.
inline cudaError_t free_pinned(std::int32_t* data) {
  return cudaFreeHost(data);
}

/// A stream apart from the default one: nothing waits for it by itself.
class Stream {
 public:
  Stream();
  cudaStream_t get() const { return stream_.get(); }
  /// Blocks until all that was enqueued is done; reports what a kernel did wrong.
  void synchronize() const;

 private:
  Owned<cudaStream_t, cudaStreamDestroy> stream_;
};

/// A point in a stream, with a time.
class Event {
 public:
  Event();
  void record(const Stream& stream);
  /// Blocks until the point is reached.
  void synchronize() const;
  cudaEvent_t get() const { return event_.get(); }

 private:
  Owned<cudaEvent_t, cudaEventDestroy> event_;
};

/// Seconds between two events of which both are recorded; waits for the later one.
double seconds_between(const Event& begin, const Event& end);

/// What a stream was given between capture() and the end of `enqueue`, to be replayed as one.
class Graph {
 public:
  /// Calls enqueue(), which must enqueue on `stream` only and not wait for it.
  template <class F>
  static Graph capture(const Stream& stream, F&& enqueue) {
    begin_capture(stream);
    try {
      enqueue();
    } catch (...) {
      abandon_capture(stream);
      throw;
    }
    return end_capture(stream);
  }
  void launch(const Stream& stream) const;

 private:
  static void begin_capture(const Stream& stream);
  static Graph end_capture(const Stream& stream);
  /// The stream runs what it is given again; what was captured is forgotten.
  static void abandon_capture(const Stream& stream);
  Owned<cudaGraphExec_t, cudaGraphExecDestroy> executable_;
};

}  // namespace plimsoll::cuda
