// nf4, fp4, log4 and their doubly quantised forms. A table in memory would cost a look-up a weight
// or two, and the GPU's rate of look-ups is below what its memory delivers. So codes become bytes
// by permutation (split_levels() in gemv_layout.h): two PRMT for four weights. Products are then
// int8's; activations are 15-bit integers, a scale for each block of 64 columns, which go through
// the tensor cores as two columns of bytes: x = 256 high + low.
#include "kernels/gemv/gemv_kernel_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

// An f32 whose last bit counts 1: an integer below 2^22 added to its bits is added to its value.
constexpr std::int32_t kMagicBits = 0x4b400000;
constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23
// The largest 15-bit activation whose two bytes are within s8.
constexpr float kLargest = 127 * 256 + 127;

__device__ inline std::uint32_t permute(std::uint32_t low, std::uint32_t high,
                                        std::uint32_t codes) {
  std::uint32_t bytes;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(low), "r"(high), "r"(codes));
  return bytes;
}

// kBlocks of four tokens, each of which is two columns of the product.
template <Format kWeights, int kBlocks>
struct Table4 {
  static constexpr Format kFormat = kWeights;
  static constexpr int kSlices = 4;
  static constexpr int kUnroll = 4;
  static constexpr int kStages = 3;
  static constexpr int kRows = kBlocks * 4;
  static constexpr int kSumBytes = 4;
  static constexpr int kColumns = 64;

  // Activations of a chunk: s8 [rows][high, low][64], then scales f32 [rows].
  __host__ __device__ static std::uint32_t activation_bytes(const Plan& plan) {
    return static_cast<std::uint32_t>(plan.args.rows * 128 + (plan.args.rows + 3) / 4 * 16);
  }

  __device__ Table4(const Plan& plan, const SharedLayout& at, unsigned char* shared, float*, int,
                    int lane)
      : activations(shared + at.activations),
        partial(reinterpret_cast<float*>(shared + at.partial)),
        meta(reinterpret_cast<const RowScales*>(shared + at.meta)),
        nested(reinterpret_cast<const float*>(shared + at.nested)),
        rows(plan.args.rows),
        stride(static_cast<int>(activation_bytes(plan))),
        lane(lane),
        low{plan.w.low_levels[0], plan.w.low_levels[1]},
        high{plan.w.high_levels[0], plan.w.high_levels[1]},
        unit(plan.w.level_unit) {
    for (int block = 0; block < kBlocks; ++block) {
      columns_at[block] = min(block * 8 + lane / 4, rows * 2 - 1) * 64 + lane % 4 * 16;
      scales_at[block] = rows * 128 + min(block * 4 + lane % 4, rows - 1) * 4;
    }
  }

  __device__ void begin_tile(int local) {
    for (auto& block : sums) block[0] = block[1] = 0;
    if constexpr (kFormat == Format::table4_dq) {
      scales0 = meta[local * kTileRows + lane / 4];
      scales1 = meta[local * kTileRows + lane / 4 + 8];
    }
  }

  __device__ void stage(int token, const Row& row, float*) {
    row.visit([&](int c, const float4& v, bool inside) { put(token, c, v, inside); });
  }

  __device__ void put(int row, int c, const float4& v, bool inside) {
    float largest = fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w)));
    // Sixteen lanes hold a block.
    for (int i = 8; i > 0; i /= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, i));
    if (!inside) return;
    const float scale = largest < 0x1p-100f ? 0.0f : kLargest / largest;
    const int q[4] = {__float2int_rn(v.x * scale), __float2int_rn(v.y * scale),
                      __float2int_rn(v.z * scale), __float2int_rn(v.w * scale)};
    std::uint32_t high_bytes = 0;
    std::uint32_t low_bytes = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      high_bytes |= (static_cast<std::uint32_t>((q[i] + 128) >> 8) & 0xff) << (8 * i);
      low_bytes |= (static_cast<std::uint32_t>(q[i]) & 0xff) << (8 * i);
    }
    unsigned char* to = activations + c / kColumns * stride;
    *reinterpret_cast<std::uint32_t*>(to + row * 128 + c % kColumns) = high_bytes;
    *reinterpret_cast<std::uint32_t*>(to + row * 128 + 64 + c % kColumns) = low_bytes;
    if (lane % 16 == 0) reinterpret_cast<float*>(to + rows * 128)[row] = largest / kLargest * unit;
  }

  __device__ float scale_of(std::uint32_t code, int chunk, const RowScales& row) const {
    return fmaf(nested[code], chunk < row.border ? row.first : row.second, row.offset);
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char* scales, int chunk) {
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
    float scale0;
    float scale1;
    if constexpr (kFormat == Format::table4_dq) {
      const std::uint32_t both = reinterpret_cast<const std::uint16_t*>(scales)[lane / 4];
      scale0 = scale_of(both & 0xff, chunk, scales0);
      scale1 = scale_of(both >> 8, chunk, scales1);
    } else {
      const float2 both = reinterpret_cast<const float2*>(scales)[lane / 4];
      scale0 = both.x;
      scale1 = both.y;
    }
    const unsigned char* x = activations + chunk * stride;
    std::int32_t products[kBlocks][4];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
      for (int i = 0; i < 4; ++i) products[block][i] = kMagicBits;
    uint4 values[kBlocks];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block)
      values[block] = *reinterpret_cast<const uint4*>(x + columns_at[block]);
    multiply_bytes<0>(products, w.x, w.z, values);
    multiply_bytes<1>(products, w.y, w.w, values);
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const float of_x = *reinterpret_cast<const float*>(x + scales_at[block]);
      const auto& p = products[block];
      const float row0 = fmaf(256, __int_as_float(p[0]) - kMagic, __int_as_float(p[1]) - kMagic);
      const float row1 = fmaf(256, __int_as_float(p[2]) - kMagic, __int_as_float(p[3]) - kMagic);
      sums[block][0] = fmaf(row0, scale0 * of_x, sums[block][0]);
      sums[block][1] = fmaf(row1, scale1 * of_x, sums[block][1]);
    }
  }

  // Eight codes a lane of rows g and g + 8.
  template <int kStep>
  __device__ void multiply_bytes(std::int32_t (&products)[kBlocks][4], std::uint32_t row0,
                                 std::uint32_t row1, const uint4 (&values)[kBlocks]) const {
    const std::uint32_t turned0 = row0 ^ 0x88888888u;
    const std::uint32_t turned1 = row1 ^ 0x88888888u;
    const std::uint32_t below[4] = {permute(low[0], low[1], row0), permute(low[0], low[1], row1),
                                    permute(low[0], low[1], row0 >> 16),
                                    permute(low[0], low[1], row1 >> 16)};
    const std::uint32_t above[4] = {
        permute(high[0], high[1], turned0), permute(high[0], high[1], turned1),
        permute(high[0], high[1], turned0 >> 16), permute(high[0], high[1], turned1 >> 16)};
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const uint4& v = values[block];
      mma_s8(products[block], below, kStep == 0 ? v.x : v.z, kStep == 0 ? v.y : v.w);
      mma_s8(products[block], above, kStep == 0 ? v.x : v.z, kStep == 0 ? v.y : v.w);
    }
  }

  __device__ void end_tile(int local, int slice) {
    float* to = partial + (local * kSlices + slice) * kTileRows * rows;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = block * 4 + lane % 4;
      if (token >= rows) continue;
      to[lane / 4 * rows + token] = sums[block][0];
      to[(lane / 4 + 8) * rows + token] = sums[block][1];
    }
  }

  __device__ float total(int local, int row, int token) const {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kSlices; ++w) {
      sum += partial[((local * kSlices + w) * kTileRows + row) * rows + token];
    }
    return sum;
  }

  unsigned char* activations;
  float* partial;
  const RowScales* meta;
  const float* nested;
  int rows, stride, lane;
  std::uint32_t low[2], high[2];
  float unit;
  int columns_at[kBlocks], scales_at[kBlocks];  // the lane's, within a chunk's activations
  RowScales scales0, scales1;                   // of the tile, table4_dq
  float sums[kBlocks][2];
};

template <Format kFormat>
void launch_rows(const Plan& plan, cudaStream_t stream) {
  if (plan.args.rows <= 4) return launch<Table4<kFormat, 1>>(plan, stream);
  if (plan.args.rows <= 8) return launch<Table4<kFormat, 2>>(plan, stream);
  return launch<Table4<kFormat, 4>>(plan, stream);
}

}  // namespace

void run_table4(const Plan& plan, cudaStream_t stream) {
  return plan.w.format == Format::table4_dq ? launch_rows<Format::table4_dq>(plan, stream)
                                            : launch_rows<Format::table4>(plan, stream);
}

}  // namespace plimsoll::kernels::gemv
