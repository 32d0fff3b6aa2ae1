// int8 weights and activations (quant/int8.h): exact integer sums on the tensor cores. LLM.int8()'s
// outlier columns are multiplied in 16 bits as their weights pass by: no second reading, no list of
// columns, and no word of it to the host.
#include "kernels/gemv/gemv_kernel_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

// Magnitudes below it are taken for zeros, as quant/int8.cc does.
constexpr float kLeastAbsmax = 0x1p-120f;

// kBlocks of eight tokens.
template <int kBlocks>
struct Int8 {
  static constexpr Format kFormat = Format::int8;
  static constexpr int kSlices = 16;
  static constexpr int kUnroll = 4;
  static constexpr int kStages = 3;
  static constexpr int kRows = kBlocks * 8;
  static constexpr int kSumBytes = 8;  // the integers' and the outliers'
  static constexpr int kColumns = 32;

  // Activations of a chunk: codes s8 [rows][32]; where outliers are taken out also their values in
  // 16 bits [rows][32], zero for other columns, and a bit for each column that has one, 16 bytes.
  __host__ __device__ static int outlier_bytes(const Plan& plan) {
    return plan.w.outlier_threshold > 0 ? plan.args.rows * 64 + 16 : 0;
  }
  static std::uint32_t activation_bytes(const Plan& plan) {
    return static_cast<std::uint32_t>(plan.args.rows * 32 + outlier_bytes(plan));
  }

  __device__ Int8(const Plan& plan, const SharedLayout& at, unsigned char* shared, float* kept,
                  int warp, int lane)
      : activations(shared + at.activations),
        partial(reinterpret_cast<int2*>(shared + at.partial)),
        meta(reinterpret_cast<const float*>(shared + at.meta)),
        absmax(kept),
        threshold(plan.w.outlier_threshold),
        product_scale(plan.product_scale),
        weight_scale(plan.weight_scale),
        rows(plan.args.rows),
        stride(plan.args.rows * 32 + outlier_bytes(plan)),
        warp(warp),
        lane(lane),
        in_bf16(plan.w.source_bf16) {}

  __device__ void begin_tile(int local) {
    tile = local;
    for (int block = 0; block < kBlocks; ++block) {
      for (int i = 0; i < 4; ++i) {
        sums[block][i] = 0;
        outlier_sums[block][i] = 0;
      }
    }
  }

  __device__ unsigned char* chunk_at(int chunk) const { return activations + chunk * stride; }
  __device__ unsigned char* outliers_at(int chunk) const { return chunk_at(chunk) + rows * 32; }
  __device__ std::uint32_t* mask_at(int chunk) const {
    return reinterpret_cast<std::uint32_t*>(outliers_at(chunk) + rows * 64);
  }

  __device__ void stage(int token, const Row& row, float* parts) {
    const float limit = threshold > 0 ? threshold : INFINITY;
    float largest = 0;
    row.visit([&](int, const float4& v, bool) {
      for (const float value : {v.x, v.y, v.z, v.w}) {
        const float magnitude = fabsf(value);
        largest = fmaxf(largest, magnitude < limit ? magnitude : 0.0f);
      }
    });
    largest = across_block<true>(largest, parts, warp, lane);
    if (largest < kLeastAbsmax) largest = 0;
    if (threadIdx.x == 0) absmax[token] = largest;  // read after the barrier at the end
    if (threshold > 0 && token == 0) {
      for (int c = row.begin + lane * kColumns; c < row.end; c += 32 * kColumns)
        *mask_at(c / kColumns) = 0;
      __syncwarp();
    }
    const float scale = largest > 0 ? __fdiv_rn(127.0f, largest) : 0.0f;
    row.visit([&](int c, const float4& v, bool inside) {
      if (inside) put(token, c, v, scale);
    });
  }

  __device__ void put(int row, int c, const float4& v, float scale) {
    const float values[4] = {v.x, v.y, v.z, v.w};
    float out[4] = {};
    std::uint32_t codes = 0;
    std::uint32_t mask = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool outlier = threshold > 0 && fabsf(values[i]) >= threshold;
      const float kept = outlier ? 0.0f : values[i];
      codes |= (static_cast<std::uint32_t>(__float2int_rn(kept * scale)) & 0xff) << (8 * i);
      if (outlier) {
        out[i] = values[i];
        mask |= 1u << (c % kColumns + i);
      }
    }
    const int chunk = c / kColumns;
    *reinterpret_cast<std::uint32_t*>(chunk_at(chunk) + row * 32 + c % kColumns) = codes;
    if (threshold > 0) {
      const uint2 bits = in_bf16 ? uint2{bf162_bits(out[0], out[1]), bf162_bits(out[2], out[3])}
                                 : uint2{half2_bits(out[0], out[1]), half2_bits(out[2], out[3])};
      *reinterpret_cast<uint2*>(outliers_at(chunk) + row * 64 + c % kColumns * 2) = bits;
      if (mask != 0) atomicOr(mask_at(chunk), mask);
    }
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk) {
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
    const std::uint32_t a[4] = {w.x, w.z, w.y, w.w};
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = min(block * 8 + lane / 4, rows - 1);
      const uint2 v = *reinterpret_cast<const uint2*>(chunk_at(chunk) + token * 32 + lane % 4 * 8);
      mma_s8(sums[block], a, v.x, v.y);
    }
    if (threshold > 0 && *mask_at(chunk) != 0) multiply_outliers(w, chunk);
  }

  // Two codes, dequantised and rounded to 16 bits.
  __device__ std::uint32_t weights16(std::uint32_t word, int byte, float scale) const {
    const auto first = static_cast<float>(static_cast<std::int8_t>(word >> (8 * byte)));
    const auto second = static_cast<float>(static_cast<std::int8_t>(word >> (8 * byte + 8)));
    const float a = first * scale * weight_scale;
    const float b = second * scale * weight_scale;
    return in_bf16 ? bf162_bits(a, b) : half2_bits(a, b);
  }

  __device__ void multiply_outliers(const uint4& w, int chunk) {
    const float scale0 = meta[tile * kTileRows + lane / 4];
    const float scale1 = meta[tile * kTileRows + lane / 4 + 8];
    const std::uint32_t a[2][4] = {{weights16(w.x, 0, scale0), weights16(w.z, 0, scale1),
                                    weights16(w.x, 2, scale0), weights16(w.z, 2, scale1)},
                                   {weights16(w.y, 0, scale0), weights16(w.w, 0, scale1),
                                    weights16(w.y, 2, scale0), weights16(w.w, 2, scale1)}};
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = min(block * 8 + lane / 4, rows - 1);
      const uint4 v =
          *reinterpret_cast<const uint4*>(outliers_at(chunk) + token * 64 + lane % 4 * 16);
      if (in_bf16) {
        mma_bf16(outlier_sums[block], a[0], v.x, v.y);
        mma_bf16(outlier_sums[block], a[1], v.z, v.w);
      } else {
        mma_f16(outlier_sums[block], a[0], v.x, v.y);
        mma_f16(outlier_sums[block], a[1], v.z, v.w);
      }
    }
  }

  __device__ void end_tile(int local, int slice) {
    int2* to = partial + (local * kSlices + slice) * kTileRows * rows;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = block * 8 + lane % 4 * 2 + i % 2;
        if (token >= rows) continue;
        to[(lane / 4 + i / 2 * 8) * rows + token] = {sums[block][i],
                                                     __float_as_int(outlier_sums[block][i])};
      }
    }
  }

  __device__ float total(int local, int row, int token) const {
    std::int32_t sum = 0;
    float outliers = 0;
#pragma unroll
    for (int w = 0; w < kSlices; ++w) {
      const int2 part = partial[((local * kSlices + w) * kTileRows + row) * rows + token];
      sum += part.x;
      outliers += __int_as_float(part.y);
    }
    const float product =
        static_cast<float>(sum) * absmax[token] * meta[local * kTileRows + row] * product_scale;
    return __fadd_rn(product, outliers);
  }

  unsigned char* activations;
  int2* partial;
  const float* meta;
  float* absmax;  // [rows]
  float threshold, product_scale, weight_scale;
  int rows, stride, warp, lane;
  bool in_bf16;
  int tile = 0;  // of the block
  std::int32_t sums[kBlocks][4];
  float outlier_sums[kBlocks][4];
};

}  // namespace

void run_int8(const Plan& plan, cudaStream_t stream) {
  return plan.args.rows <= 8 ? launch<Int8<1>>(plan, stream) : launch<Int8<2>>(plan, stream);
}

}  // namespace plimsoll::kernels::gemv
