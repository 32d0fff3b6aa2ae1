#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/cuda/rows_cuda.cuh"
#include "kernels/cuda/warp_integers_cuda.cuh"
#include "kernels/gemm_packed/mixed_panels_cuda.h"
#include "kernels/gemv/gemv_stage_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr int kWordColumns = 32 * kMixedColumns;  // of a word of bits
static_assert(kWordColumns == kThreads * 4);

// Magnitudes below it are taken for zeros, as quant/int8.cc does.
constexpr float kLeastAbsmax = 0x1p-120f;

// Four neighbours after the norm; zeros beyond the last column.
__device__ float4 load_normed(const PanelArgs& args, std::int64_t row, int c, float mean,
                              float factor) {
  if (c >= args.columns) return {0, 0, 0, 0};
  const float4 v = cuda_device::load_four(args.x, args.x16, args.bf16, row * args.columns + c);
  if (args.norm == nullptr) return v;
  const float4 n = gemv::load4(args.norm + c);
  if (args.norm_bias == nullptr)
    return {v.x * factor * n.x, v.y * factor * n.y, v.z * factor * n.z, v.w * factor * n.w};
  const float4 b = gemv::load4(args.norm_bias + c);
  return {fmaf((v.x - mean) * factor, n.x, b.x), fmaf((v.y - mean) * factor, n.y, b.y),
          fmaf((v.z - mean) * factor, n.z, b.z), fmaf((v.w - mean) * factor, n.w, b.w)};
}

// Over the block. `parts` [kWarps] is for this call alone.
__device__ float sum_of_block(float value, float* parts) {
  value = cuda_device::warp_sum(value);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += parts[warp];
  return sum;
}

// Sum over the row of (x - mean)^2, or of x where `kFirst`.
template <bool kFirst>
__device__ float row_sum(const PanelArgs& args, std::int64_t row, float mean, float* parts) {
  float sum = 0;
#pragma unroll 4
  for (int c = static_cast<int>(threadIdx.x) * 4; c < args.columns; c += kWordColumns) {
    float4 v = cuda_device::load_four(args.x, args.x16, args.bf16, row * args.columns + c);
    if (kFirst) {
      sum += v.x + v.y + v.z + v.w;
    } else {
      v = {v.x - mean, v.y - mean, v.z - mean, v.w - mean};
      sum = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, sum))));
    }
  }
  return sum_of_block(sum, parts);
}

// A block a row, which it reads again from L1 rather than hold it.
__global__ void __launch_bounds__(kThreads)
    mixed_rows_kernel(const __grid_constant__ MixedPanelArgs args) {
  __shared__ float parts[2][kWarps];
  __shared__ std::uint32_t own[kMaskWords];
  __shared__ unsigned largest_bits[2];  // below the threshold, of all; magnitudes compare as bits
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const std::int64_t row = blockIdx.x;
  cuda_device::let_next_start();
  if (thread < kMaskWords) own[thread] = 0;
  if (thread < 2) largest_bits[thread] = 0;
  cuda_device::wait_for_previous();
  MixedRow of_row{0, 1, 0, 1};
  if (args.norm != nullptr) {
    const auto columns = static_cast<float>(args.columns);
    if (args.norm_bias != nullptr) of_row.mean = row_sum<true>(args, row, 0, parts[0]) / columns;
    const float squares = row_sum<false>(args, row, of_row.mean, parts[1]);
    of_row.factor = 1 / sqrtf(squares / columns + args.epsilon);
  }
  __syncthreads();  // `own`, `largest_bits`
  float2 largest{0, 0};
#pragma unroll 4
  for (int first = 0; first < args.columns; first += kWordColumns) {
    const float4 v = load_normed(args, row, first + thread * 4, of_row.mean, of_row.factor);
    bool outlier = false;
    for (const float value : {v.x, v.y, v.z, v.w}) {
      const float magnitude = fabsf(value);
      const bool out = magnitude >= args.threshold;
      outlier = outlier || out;
      largest.x = fmaxf(largest.x, out ? 0.0f : magnitude);
      largest.y = fmaxf(largest.y, magnitude);
    }
    const unsigned lanes = __ballot_sync(0xffffffffu, outlier);
    if (lanes == 0 || lane != 0) continue;
    unsigned chunks = 0;  // eight lanes have one
    for (int i = 0; i < 4; ++i) chunks |= (lanes >> (8 * i) & 0xff) != 0 ? 1u << i : 0;
    atomicOr(&own[first / kWordColumns], chunks << (thread / 32 * 4));
  }
  const unsigned below = cuda_device::warp_largest(__float_as_uint(largest.x));
  const unsigned all = cuda_device::warp_largest(__float_as_uint(largest.y));
  if (lane == 0) {
    atomicMax(&largest_bits[0], below);
    atomicMax(&largest_bits[1], all);
  }
  __syncthreads();
  if (thread * kWordColumns < args.columns)
    args.own_outliers[thread * args.padded + row] = own[thread];
  if (thread != 0) return;
  const float absmax = __uint_as_float(largest_bits[0]);
  const float scale = f16_scale(__uint_as_float(largest_bits[1]));
  of_row.code = absmax < kLeastAbsmax ? 0.0f : __fdiv_rn(127.0f, absmax);
  of_row.inverse = 1 / scale;
  args.mixed_rows[row] = of_row;
  args.scales[row] = scale;
  args.code_scales[row] = absmax < kLeastAbsmax ? 0.0f : absmax / 127 * of_row.inverse;
}

// Bits of chunks 32 word to 32 word + 31 in which a token of the tile has an outlier.
__device__ std::uint32_t listed_of(const MixedPanelArgs& args, int word, std::int64_t first_token,
                                   std::uint32_t* parts) {
  std::uint32_t bits = 0;
  const std::int64_t end = min(first_token + args.tokens, args.rows);
  for (std::int64_t row = first_token + threadIdx.x; row < end; row += kThreads)
    bits |= args.own_outliers[word * args.padded + row];
  bits = cuda_device::warp_or(bits);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = bits;
  __syncthreads();
  bits = 0;
  for (int warp = 0; warp < kWarps; ++warp) bits |= parts[warp];
  return bits;
}

// Where 16-byte part `part` of a token's lies, as wgmma swizzles rows of 32 and 64 bytes.
template <int kTokenBytes>
__device__ int mixed_place(std::int64_t token, int part) {
  const int row = static_cast<int>(token % 8);
  return (part ^ (kTokenBytes == 32 ? row / 4 : row / 2)) * 16;
}

// A block has eight tokens and 32 chunks, a warp four of these: four lanes have a token.
__global__ void __launch_bounds__(kThreads)
    mixed_panels_kernel(const __grid_constant__ MixedPanelArgs args) {
  __shared__ std::uint32_t parts[kWarps];
  constexpr int kOwn = 32 / kWarps;  // chunks of a warp
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int word = static_cast<int>(blockIdx.y);
  const std::int64_t token = std::int64_t{blockIdx.x} * 8 + lane / 4;
  const std::int64_t tile = std::int64_t{blockIdx.x} * 8 / args.tokens;
  const std::int64_t first_token = tile * args.tokens;
  const int chunks = args.blocks * 4;
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const bool inside = token < args.rows;
  const MixedRow row = inside ? args.mixed_rows[token] : MixedRow{};
  float4 values[kOwn][2];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int c = ((word * 32 + warp * kOwn + i) * 4 + lane % 4) * 8;
    for (int half = 0; half < 2; ++half) {
      values[i][half] = inside ? load_normed(args, token, c + half * 4, row.mean, row.factor)
                               : float4{0, 0, 0, 0};
    }
  }
  const std::uint32_t listed = listed_of(args, word, first_token, parts);
  if (first_token == std::int64_t{blockIdx.x} * 8 && threadIdx.x == 0)
    args.listed[tile * kMaskWords + word] = listed;
  auto* const slabs = static_cast<unsigned char*>(args.panels);
  if (word == 0 && tile == 0 && threadIdx.x < 32) {  // the slab of zeros
    auto* to = slabs + (chunks * args.padded + std::int64_t{blockIdx.x} * 8) * kMixedTokenBytes;
    reinterpret_cast<uint4*>(to)[lane] = {0, 0, 0, 0};
  }
  if (!inside) return;
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int chunk = word * 32 + warp * kOwn + i;
    if (chunk >= chunks) return;
    const float4 v = values[i][0];
    const float4 w = values[i][1];
    const std::int64_t of_tile = token - first_token;
    unsigned char* const slab = slabs + (chunk * args.padded + first_token) * kMixedTokenBytes;
    if (listed >> (warp * kOwn + i) & 1) {
      unsigned char* const to = slab + of_tile * 64 + lane % 4 * 4;
      const auto put = [&](int part, float x, float y) {
        *reinterpret_cast<std::uint32_t*>(to + mixed_place<64>(token, part)) =
            cuda_device::half2_bits(x * row.inverse, y * row.inverse);
      };
      put(0, v.x, v.y);
      put(1, v.z, v.w);
      put(2, w.x, w.y);
      put(3, w.z, w.w);
    } else {
      unsigned char* const to = slab + of_tile * 32 + lane % 4 * 4;
      const auto code = [&](float x) { return gemv::integer_bits(__fmul_rn(x, row.code)); };
      const auto put = [&](int part, const float4& of) {
        *reinterpret_cast<std::uint32_t*>(to + mixed_place<32>(token, part)) =
            gemv::bytes_of<0>({code(of.x), code(of.y), code(of.z), code(of.w)});
      };
      put(0, v);
      put(1, w);
    }
  }
}

}  // namespace

void make_mixed_panels(const MixedPanelArgs& args, cudaStream_t stream) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.rows));
  shape.block = dim3(kThreads);
  shape.dependent = args.dependent;
  kernels::launch(mixed_rows_kernel, shape, stream, args);
  // The tile of zeros is of all tokens of a tile, those beyond the last row too.
  const std::int64_t tokens = args.rows > args.tokens ? args.rows : args.tokens;
  const int words = (args.blocks * 4 + 31) / 32;
  shape.grid = dim3(static_cast<unsigned>((tokens + 7) / 8), static_cast<unsigned>(words));
  kernels::launch(mixed_panels_kernel, shape, stream, args);
}

}  // namespace plimsoll::kernels::gemm_packed
