// y = x W^T on a GPU for the few rows of a decoding step, with what stands before and after it in a
// layer: norm, bias, residual, SwiGLU. Bound by memory: each weight is read once.
//
// Built to run in a chain of programmatic dependent launches (PDL): a kernel starts while the one
// before it still runs, requests its first weights, which depend on nothing, and only then waits
// for the activations.
#pragma once

#include "core/cuda/memory_cuda.h"
#include "core/variant.h"
#include "kernels/gemv/gemv_args_cuda.h"
#include "kernels/gemv/gemv_pack.h"

namespace plimsoll::kernels::gemv {

/// Owns packed weights on the device. InputError where the GPU has not the memory; `what` names the
/// matrix.
class UploadedWeights {
 public:
  UploadedWeights() = default;
  UploadedWeights(const Packed& packed, std::string_view what);
  /// A copy of its own, made on the device.
  UploadedWeights clone(std::string_view what) const;
  const DeviceWeights& view() const { return view_; }
  std::size_t bytes() const {
    return codes_.bytes() + scales_.bytes() + row_meta_.bytes() + nested_.bytes() +
           levels_.bytes() + gather_.bytes();
  }

 private:
  DeviceWeights view_;
  cuda::Buffer codes_;
  cuda::Buffer scales_;
  cuda::Buffer row_meta_;
  cuda::Buffer nested_;
  cuda::Buffer levels_;
  cuda::Buffer gather_;
};

/// Enqueues the product. Arithmetic, by format (sums in fp32 if nothing else is said):
///   f16 bf16   x rounded to that type
///   fp8        x rounded to f16; a row with a magnitude beyond 65504 divided by a power of two
///   first int8       with an outlier threshold as fp8: all of x is in 16 bits and not the outliers
///   alone,
///              which is closer to the unquantised product than quant/int8.h's definition. Without
///              one (int8-dynamic too) as quant/int8.h defines it, integer sums exact
///   f32        products in fp32
///   int8_static as quant/int8.h defines it
///   int4       x as for table4*; weights as they are
///   table4*    levels rounded to 1/126 of the largest; x, a block of 64 columns at a time, to
///              1/32639 of the block's largest
/// The result does not depend on the launch, nor a row's on the other rows. InternalError on what
/// supports() refuses.
void run(const Args& args, cudaStream_t stream);
/// Bytes of Args::scratch for up to `rows` rows; 0 for one row: the activations of several are
/// brought into the format's form once, by a kernel of their own.
std::size_t scratch_bytes(const DeviceWeights& weights, int rows);
Support supports(const Args& args);
/// Why this GPU does not multiply these weights here, a literal; nullptr where it does. `norms`:
/// vectors of the norm before (RMSNorm 1, LayerNorm 2), which lie in shared memory too.
const char* refusal(const DeviceWeights& weights, int norms);

}  // namespace plimsoll::kernels::gemv
