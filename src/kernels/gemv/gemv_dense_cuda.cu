// fp16, bf16, fp8 and int8 weights: products of 16-bit values on the tensor cores, sums in fp32.
// Codes of 8 bits are exact in f16, and so no activation of LLM.int8() needs to be rounded to 8
// bits: outliers go through the same product as all others, and no row's largest need be known
// before it begins. fp32 weights: products and sums in fp32.
#include "kernels/gemv/gemv_rows_cuda.cuh"

namespace plimsoll::kernels::gemv {

namespace {

using namespace cuda_device;

template <Format kWeights>
constexpr bool kByteCodes = kWeights == Format::fp8 || kWeights == Format::int8;

constexpr float kLargestF16 = 65504;
constexpr float kScaledF16 = 32768;  // what the largest of a scaled row becomes at most

// Two E4M3 values, the lower bytes of each half of `bytes` shifted up by 8, as f16 / 256: sign,
// exponent and mantissa move to f16's places, whose exponent bias is larger by 8.
__device__ inline std::uint32_t e4m3_to_f16(std::uint32_t bytes) {
  return (bytes & 0x80008000u) | ((bytes & 0x7f007f00u) >> 1);
}

// The same of signed bytes whose upper bits were turned, so that they are code + 128: 0x6400 + byte
// is 1024 + byte.
template <int kFirst>
__device__ inline std::uint32_t s8_to_f16(std::uint32_t turned) {
  const std::uint32_t bits = __byte_perm(turned, 0x64646464u, kFirst == 0 ? 0x4140 : 0x4342);
  const std::uint32_t zero = 0x64806480u;
  const __half2 pair =
      __hsub2(*reinterpret_cast<const __half2*>(&bits), *reinterpret_cast<const __half2*>(&zero));
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

// Activations of a chunk: [places][columns], in 16 bits or f32. Beside codes of 8 bits a token that
// goes beyond f16's range is divided by a power of two, Prepared::scales of it.
template <Format kWeights>
struct DenseStage {
  static constexpr int kColumns = chunk_columns(kWeights);
  static constexpr bool kScaled = kByteCodes<kWeights>;
  static constexpr bool kNeedsAll = kScaled;
  static constexpr bool kGathers = false;
  static constexpr int kBytes = kWeights == Format::f32 ? 4 : 2;

  PLIMSOLL_HOST_DEVICE static constexpr std::uint32_t activation_bytes(int places) {
    return static_cast<std::uint32_t>(places * kColumns * kBytes);
  }

  __device__ static void put(const Plan& plan, const Prepared& to, int token, const Row& row,
                             float* parts) {
    if constexpr (kScaled) {
      // The loop is passed once but for rows that hardly ever are.
      float scale = 1;
      float factor = 1;  // 1 / scale, without a division on the way that all rows take
      for (;;) {
        float largest = write(plan, to, token, row, factor);
        if (threadIdx.x == 0) to.scales[token] = scale;
        if (!__syncthreads_or(largest > kLargestF16)) return;
        largest = across_block<true>(largest, parts, row.warp, row.lane);
        scale = exp2f(ceilf(log2f(largest / kScaledF16)));
        factor = 1 / scale;
      }
    } else {
      write(plan, to, token, row, 1);
      __syncthreads();
    }
  }

 private:
  // Returns the largest magnitude that the thread saw of its share of the row, times `factor`.
  __device__ static float write(const Plan& plan, const Prepared& to, int token, const Row& row,
                                float factor) {
    float largest = 0;
    const auto look = [&](const float4& v) {
      largest = fmaxf(largest, fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))));
    };
    row.visit([&](int c, float4 v, bool inside) {
      if (!inside) return;
      const int place = (c / kColumns * plan.places + token) * kColumns + c % kColumns;
      unsigned char* at = to.activations + place * kBytes;
      if constexpr (kScaled) {
        v = {v.x * factor, v.y * factor, v.z * factor, v.w * factor};
        look(v);
      }
      if constexpr (kWeights == Format::f32) {
        *reinterpret_cast<float4*>(at) = v;
      } else if constexpr (kWeights == Format::bf16) {
        *reinterpret_cast<uint2*>(at) = {bf162_bits(v.x, v.y), bf162_bits(v.z, v.w)};
      } else {
        *reinterpret_cast<uint2*>(at) = {half2_bits(v.x, v.y), half2_bits(v.z, v.w)};
      }
    });
    // Where a block writes a part of the row alone, it looks at all.
    if (kScaled && row.own_end - row.own_begin != row.end - row.begin) {
      row.visit_own([&](int, const float4& v, bool) {
        look({v.x * factor, v.y * factor, v.z * factor, v.w * factor});
      });
    }
    return largest;
  }
};

// What the two products below share.
template <Format kWeights, int kPlaces>
struct DenseBase {
  static constexpr Format kFormat = kWeights;
  static constexpr int kSlices = 16;
  static constexpr int kRows = kPlaces;
  static constexpr int kUnroll = 4;
  static constexpr int kStages = kPlaces == 1 ? 4 : 3;
  using Stage = DenseStage<kWeights>;
  using Sum = float;

  __device__ static float plus(float a, float b) { return a + b; }
};

// kPlaces: 1, or a multiple of eight.
template <Format kWeights, int kPlaces>
struct Dense : DenseBase<kWeights, kPlaces> {
  static constexpr int kBlocks = (kPlaces + 7) / 8;

  __device__ Dense(const Plan& plan, const Prepared& x, int first_chunk, const float* meta,
                   const float*, int lane)
      : x(x), meta(meta), unit(unit_of(plan)), first_chunk(first_chunk), lane(lane) {}

  __device__ void begin_tile(int) {
    for (auto& block : sums)
      for (float& sum : block) sum = 0;
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk, int count) {
    for_chunks<DenseBase<kWeights, kPlaces>::kUnroll>(
        count, [&](int i) { multiply_one(codes + i * kCodeBytes, chunk + i); });
  }

  __device__ void multiply_one(const unsigned char* codes, int chunk) {
    constexpr int kColumns = chunk_columns(kWeights);
    const uint4 w = reinterpret_cast<const uint4*>(codes)[lane];
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
      const int token = min(block * 8 + lane / 4, kPlaces - 1);
      const int place = ((chunk - first_chunk) * kPlaces + token) * kColumns;
      const unsigned char* at = x.activations + (place + lane % 4 * kColumns / 4) * 2;
      if constexpr (kByteCodes<kWeights>) {
        const uint4 v = *reinterpret_cast<const uint4*>(at);
        step_of_bytes(sums[block], w.x, w.z, v.x, v.y);
        step_of_bytes(sums[block], w.y, w.w, v.z, v.w);
      } else {
        const uint2 v = *reinterpret_cast<const uint2*>(at);
        const std::uint32_t a[4] = {w.x, w.z, w.y, w.w};
        if constexpr (kWeights == Format::bf16) {
          mma_bf16(sums[block], a, v.x, v.y);
        } else {
          mma_f16(sums[block], a, v.x, v.y);
        }
      }
    }
  }

  // Four columns of rows g and g + 8.
  __device__ static void step_of_bytes(float (&sum)[4], std::uint32_t row0, std::uint32_t row1,
                                       std::uint32_t x0, std::uint32_t x1) {
    constexpr std::uint32_t kTurn = kWeights == Format::int8 ? 0x80808080u : 0;
    const std::uint32_t first = row0 ^ kTurn;
    const std::uint32_t second = row1 ^ kTurn;
    const std::uint32_t a[4] = {pair_of<0>(first), pair_of<0>(second), pair_of<2>(first),
                                pair_of<2>(second)};
    mma_f16(sum, a, x0, x1);
  }

  // Codes kFirst and kFirst + 1 of four as f16.
  template <int kFirst>
  __device__ static std::uint32_t pair_of(std::uint32_t codes) {
    if constexpr (kWeights == Format::int8) {
      return s8_to_f16<kFirst>(codes);
    } else {
      return e4m3_to_f16(__byte_perm(codes, 0, kFirst == 0 ? 0x1404 : 0x3424));
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

  __device__ float finish(float sum, int local, int row, int token) const {
    if constexpr (kByteCodes<kWeights>)
      return sum * x.scales[token] * (unit * meta[local * kTileRows + row]);
    return sum;
  }

  // What a code of 1, as it is multiplied, is worth times the row's scale.
  __device__ static float unit_of(const Plan& plan) {
    return kWeights == Format::fp8 ? 256 : plan.weight_scale;
  }

  const Prepared x;
  const float* meta;
  float unit;
  int first_chunk, lane;
  float sums[kBlocks][4];
};

// fp32: a lane has two columns of rows g and g + 8.
template <int kPlaces>
struct Single : DenseBase<Format::f32, kPlaces> {
  __device__ Single(const Plan&, const Prepared& x, int first_chunk, const float*, const float*,
                    int lane)
      : activations(reinterpret_cast<const float*>(x.activations)),
        first_chunk(first_chunk),
        lane(lane) {}

  __device__ void begin_tile(int) {
    for (auto& token : sums) token[0] = token[1] = 0;
  }

  __device__ void multiply(const unsigned char* codes, const unsigned char*, int chunk, int count) {
    for_chunks<DenseBase<Format::f32, kPlaces>::kUnroll>(
        count, [&](int i) { multiply_one(codes + i * kCodeBytes, chunk + i); });
  }

  __device__ void multiply_one(const unsigned char* codes, int chunk) {
    constexpr int kColumns = chunk_columns(Format::f32);
    const float4 w = reinterpret_cast<const float4*>(codes)[lane];
    const float* x = activations + (chunk - first_chunk) * kPlaces * kColumns + lane % 4 * 2;
#pragma unroll
    for (int token = 0; token < kPlaces; ++token) {
      const float2 v = *reinterpret_cast<const float2*>(x + token * kColumns);
      sums[token][0] = fmaf(w.y, v.y, fmaf(w.x, v.x, sums[token][0]));
      sums[token][1] = fmaf(w.w, v.y, fmaf(w.z, v.x, sums[token][1]));
    }
  }

  template <class Put>
  __device__ void each_sum(Put&& put) const {
#pragma unroll
    for (int token = 0; token < kPlaces; ++token) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float sum = sums[token][i];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        if (lane % 4 == 0) put((lane / 4 + i * 8) * kPlaces + token, sum);
      }
    }
  }

  __device__ static float finish(float sum, int, int, int) {
    return sum;
  }

  const float* activations;
  int first_chunk, lane;
  float sums[kPlaces][2];
};

template <Format kFormat>
void run_dense(const Plan& plan, cudaStream_t stream) {
  if (one_at_a_time(plan)) return launch_one<Dense<kFormat, 1>>(plan, stream);
  return plan.args.rows <= 8 ? launch_rows<Dense<kFormat, 8>>(plan, stream)
                             : launch_rows<Dense<kFormat, 16>>(plan, stream);
}

// Twice the bytes of fp16, for comparisons and not for speed.
void run_single(const Plan& plan, cudaStream_t stream) {
  return one_at_a_time(plan) ? launch_one<Single<1>>(plan, stream)
                             : launch_rows<Single<8>>(plan, stream);
}

template <Format kFormat>
constexpr Family kDense{run_dense<kFormat>, scratch_bytes_of<DenseStage<kFormat>>,
                        least_shared_bytes<Dense<kFormat, 1>>};

}  // namespace

Family dense_family(Format format) {
  switch (format) {
    case Format::f32:
      return {run_single, scratch_bytes_of<DenseStage<Format::f32>>, least_shared_bytes<Single<1>>};
    case Format::f16:
      return kDense<Format::f16>;
    case Format::bf16:
      return kDense<Format::bf16>;
    case Format::int8:
      return kDense<Format::int8>;
    default:
      return kDense<Format::fp8>;
  }
}

}  // namespace plimsoll::kernels::gemv
