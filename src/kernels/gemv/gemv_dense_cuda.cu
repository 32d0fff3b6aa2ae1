// fp16, bf16 and fp8 weights: products of 16-bit values on the tensor cores, sums in fp32.
#include "kernels/gemv/gemv_kernel_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

// Two E4M3 values, the lower bytes of each half of `bytes` shifted up by 8, as f16 / 256: sign,
// exponent and mantissa move to f16's places, whose exponent bias is larger by 8.
__device__ inline std::uint32_t e4m3_to_f16(std::uint32_t bytes) {
  return (bytes & 0x80008000u) | ((bytes & 0x7f007f00u) >> 1);
}

// kBlocks of eight tokens.
template <Format kWeights, int kBlocks>
struct Dense {
  static constexpr Format kFormat = kWeights;
  static constexpr int kSlices = 16;
  static constexpr int kUnroll = 2;
  static constexpr int kStages = 6;
  static constexpr int kRows = kBlocks * 8;
  static constexpr int kSumBytes = 4;
  static constexpr int kColumns = chunk_columns(kFormat);

  // Activations of a chunk: 16 bits [rows][columns].
  static std::uint32_t activation_bytes(const Plan& plan) {
    return static_cast<std::uint32_t>(plan.args.rows * kColumns * 2);
  }

  __device__ Dense(const Plan& plan, const SharedLayout& at, unsigned char* shared, float*, int,
                   int lane)
      : activations(shared + at.activations),
        partial(reinterpret_cast<float*>(shared + at.partial)),
        meta(reinterpret_cast<const float*>(shared + at.meta)),
        rows(plan.args.rows),
        lane(lane) {}

  __device__ void begin_tile(int) {
    for (auto& block : sums)
      for (float& sum : block) sum = 0;
  }

  __device__ void stage(int token, const Row& row, float*) {
    row.visit([&](int c, const float4& v, bool inside) {
      if (!inside) return;
      uint2 bits;
      if constexpr (kFormat == Format::bf16) {
        bits = {bf162_bits(v.x, v.y), bf162_bits(v.z, v.w)};
      } else {
        bits = {half2_bits(v.x, v.y), half2_bits(v.z, v.w)};
      }
      const int place = (c / kColumns * rows + token) * kColumns + c % kColumns;
      *reinterpret_cast<uint2*>(activations + place * 2) = bits;
    });
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk) {
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = min(block * 8 + lane / 4, rows - 1);
      const unsigned char* x =
          activations + ((chunk * rows + token) * kColumns + lane % 4 * kColumns / 4) * 2;
      if constexpr (kFormat == Format::fp8) {
        const uint4 v = *reinterpret_cast<const uint4*>(x);
        step_fp8(sums[block], w.x, w.z, v.x, v.y);
        step_fp8(sums[block], w.y, w.w, v.z, v.w);
      } else {
        const uint2 v = *reinterpret_cast<const uint2*>(x);
        const std::uint32_t a[4] = {w.x, w.z, w.y, w.w};
        if constexpr (kFormat == Format::bf16) {
          mma_bf16(sums[block], a, v.x, v.y);
        } else {
          mma_f16(sums[block], a, v.x, v.y);
        }
      }
    }
  }

  // Four columns of rows g and g + 8.
  __device__ static void step_fp8(float (&sum)[4], std::uint32_t row0, std::uint32_t row1,
                                  std::uint32_t x0, std::uint32_t x1) {
    const std::uint32_t a[4] = {
        e4m3_to_f16(__byte_perm(row0, 0, 0x1404)), e4m3_to_f16(__byte_perm(row1, 0, 0x1404)),
        e4m3_to_f16(__byte_perm(row0, 0, 0x3424)), e4m3_to_f16(__byte_perm(row1, 0, 0x3424))};
    mma_f16(sum, a, x0, x1);
  }

  __device__ void end_tile(int local, int slice) {
    float* to = partial + (local * kSlices + slice) * kTileRows * rows;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = block * 8 + lane % 4 * 2 + i % 2;
        if (token < rows) to[(lane / 4 + i / 2 * 8) * rows + token] = sums[block][i];
      }
    }
  }

  __device__ float total(int local, int row, int token) const {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kSlices; ++w) {
      sum += partial[((local * kSlices + w) * kTileRows + row) * rows + token];
    }
    if constexpr (kFormat == Format::fp8) sum *= 256 * meta[local * kTileRows + row];
    return sum;
  }

  unsigned char* activations;
  float* partial;
  const float* meta;
  int rows, lane;
  float sums[kBlocks][4];
};

template <Format kFormat>
void launch_rows(const Plan& plan, cudaStream_t stream) {
  return plan.args.rows <= 8 ? launch<Dense<kFormat, 1>>(plan, stream)
                             : launch<Dense<kFormat, 2>>(plan, stream);
}

}  // namespace

void run_dense(const Plan& plan, cudaStream_t stream) {
  switch (plan.w.format) {
    case Format::f16:
      return launch_rows<Format::f16>(plan, stream);
    case Format::bf16:
      return launch_rows<Format::bf16>(plan, stream);
    default:
      return launch_rows<Format::fp8>(plan, stream);
  }
}

}  // namespace plimsoll::kernels::gemv
