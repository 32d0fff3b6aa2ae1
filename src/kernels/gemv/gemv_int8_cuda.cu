// int8-dynamic and int8-static (quant/int8.h), whose activations are integers of 8 bits too: exact
// integer sums on the tensor cores. (LLM.int8() keeps activations in 16 bits: gemv_dense_cuda.cu.)
#include "kernels/gemv/gemv_rows_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

// Magnitudes below it are taken for zeros, as quant/int8.cc does.
constexpr float kLeastAbsmax = 0x1p-120f;

// Activations of a chunk: codes s8 [places][32]. kStatic: one scale and zero point for all.
// Otherwise each token has its absmax, Prepared::scales of it.
template <bool kStatic>
struct Int8Stage {
  static constexpr int kColumns = 32;
  static constexpr bool kNeedsAll = !kStatic;
  static constexpr bool kGathers = false;

  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t activation_bytes(int places) {
    return static_cast<std::uint32_t>(places) * 32;
  }

  __device__ static void put(const Plan& plan, const Prepared& to, int token, const Row& row,
                             float* parts) {
    float factor = 0;
    if constexpr (!kStatic) {
      float largest = 0;
      row.visit_own([&](int, const float4& v, bool) {
        for (const float value : {v.x, v.y, v.z, v.w}) largest = fmaxf(largest, fabsf(value));
      });
      largest = across_block<true>(largest, parts, row.warp, row.lane);
      if (largest < kLeastAbsmax) largest = 0;
      if (threadIdx.x == 0) to.scales[token] = largest;
      factor = largest > 0 ? __fdiv_rn(127.0f, largest) : 0.0f;
    }
    row.visit([&](int c, const float4& v, bool inside) {
      if (!inside) return;
      const std::uint32_t codes[4] = {code_of(plan, v.x, factor), code_of(plan, v.y, factor),
                                      code_of(plan, v.z, factor), code_of(plan, v.w, factor)};
      unsigned char* at = to.activations + c / kColumns * activation_bytes(plan.places);
      *reinterpret_cast<std::uint32_t*>(at + token * 32 + c % kColumns) = bytes_of<0>(codes);
    });
    __syncthreads();
  }

 private:
  // In the lowest byte.
  __device__ static std::uint32_t code_of(const Plan& plan, float x, float factor) {
    if constexpr (kStatic) {
      const float steps = fminf(fmaxf(__fdiv_rn(x, plan.w.input_scale), -1024.0f), 1024.0f);
      const int code = __float2int_rn(steps) + plan.w.input_zero;
      return static_cast<std::uint32_t>(min(max(code, -128), 127));
    }
    return integer_bits(__fmul_rn(x, factor));
  }
};

// kPlaces: 1, or a multiple of eight.
template <bool kStatic, int kPlaces>
struct Int8 {
  static constexpr Format kFormat = kStatic ? Format::int8_static : Format::int8;
  static constexpr int kSlices = 16;
  static constexpr int kUnroll = 4;
  static constexpr int kStages = kPlaces == 1 ? 4 : 3;
  static constexpr int kRows = kPlaces;
  static constexpr int kBlocks = (kPlaces + 7) / 8;
  using Stage = Int8Stage<kStatic>;
  using Sum = std::int32_t;

  __device__ Int8(const Plan& plan, const Prepared& x, int first_chunk, const float* meta,
                  const float*, int lane)
      : x(x), plan(plan), meta(meta), first_chunk(first_chunk), lane(lane) {}

  __device__ void begin_tile(int) {
    for (auto& block : sums)
      for (std::int32_t& sum : block) sum = 0;
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk, int count) {
    for_chunks<kUnroll>(count, [&](int i) { multiply_one(codes + i * kCodeBytes, chunk + i); });
  }

  __device__ void multiply_one(const unsigned char* codes, int chunk) {
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
    const std::uint32_t a[4] = {w.x, w.z, w.y, w.w};
    const unsigned char* at = x.activations + (chunk - first_chunk) * kPlaces * 32;
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = min(block * 8 + lane / 4, kPlaces - 1);
      const uint2 v = *reinterpret_cast<const uint2*>(at + token * 32 + lane % 4 * 8);
      mma_s8(sums[block], a, v.x, v.y);
    }
  }

  template <class Put>
  __device__ void each_sum(Put&& put) const {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int token = block * 8 + lane % 4 * 2 + i % 2;
        if (token < kPlaces) put((lane / 4 + i / 2 * 8) * kPlaces + token, sums[block][i]);
      }
    }
  }

  __device__ static Sum plus(Sum a, Sum b) {
    return a + b;
  }

  __device__ float finish(Sum sum, int local, int row, int token) const {
    const int at = local * kTileRows + row;
    if constexpr (kStatic) {
      const std::int32_t whole = sum - plan.w.input_zero * __float_as_int(meta[at * 2 + 1]);
      return static_cast<float>(whole) * plan.w.input_scale * (meta[at * 2] * plan.weight_scale);
    } else {
      return static_cast<float>(sum) * x.scales[token] * meta[at] * plan.product_scale;
    }
  }

  const Prepared x;
  const Plan& plan;
  const float* meta;
  int first_chunk, lane;
  std::int32_t sums[kBlocks][4];
};

template <bool kStatic>
void run_int8(const Plan& plan, cudaStream_t stream) {
  if (one_at_a_time(plan)) return launch_one<Int8<kStatic, 1>>(plan, stream);
  return plan.args.rows <= 8 ? launch_rows<Int8<kStatic, 8>>(plan, stream)
                             : launch_rows<Int8<kStatic, 16>>(plan, stream);
}

template <bool kStatic>
constexpr Family kInt8{run_int8<kStatic>, scratch_bytes_of<Int8Stage<kStatic>>,
                       least_shared_bytes<Int8<kStatic, 1>>};

}  // namespace

Family int8_family(Format format) {
  return format == Format::int8_static ? kInt8<true> : kInt8<false>;
}

}  // namespace plimsoll::kernels::gemv
