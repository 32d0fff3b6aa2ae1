// What sm_90a adds: matrix products of four warps together with operands in shared memory (wgmma),
// copies that the hardware carries out by itself, barriers in shared memory that both report to.
// PTX ISA 8.4, chapters on wgmma, cp.async.bulk and mbarrier. On other GPUs a kernel made of these
// must not be launched.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace plimsoll::cuda_device::hopper {

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define PLIMSOLL_SM90A(...) asm volatile(__VA_ARGS__)
#else
#define PLIMSOLL_SM90A(...) __trap()
#endif

__device__ inline std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

// A barrier in shared memory whose phases end when so many threads have arrived and all bytes
// that were announced have been copied.
struct Barrier {
  std::uint64_t state;

  __device__ void init(int arrivals) {
    PLIMSOLL_SM90A("mbarrier.init.shared.b64 [%0], %1;" ::"r"(shared_address(this)), "r"(arrivals)
                   : "memory");
  }
  __device__ void arrive() {
    PLIMSOLL_SM90A("mbarrier.arrive.shared.b64 _, [%0];" ::"r"(shared_address(this)) : "memory");
  }
  __device__ void arrive_and_expect(int bytes) {
    PLIMSOLL_SM90A("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(shared_address(this)),
                   "r"(bytes)
                   : "memory");
  }
  // Until the phase of this parity has ended; of a new barrier the one before the first, of
  // parity 1, has.
  __device__ void wait(int parity) {
    PLIMSOLL_SM90A(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(shared_address(this)),
        "r"(parity)
        : "memory");
  }
};

// Makes new barriers known to the copy engine.
__device__ inline void fence_barriers() {
  PLIMSOLL_SM90A("fence.mbarrier_init.release.cluster;" ::: "memory");
}

// Between this thread's ordinary stores to shared memory and what wgmma or a copy does there.
__device__ inline void fence_shared() {
  PLIMSOLL_SM90A("fence.proxy.async.shared::cta;" ::: "memory");
}

// Bytes (a multiple of 16, both ends aligned to it) from global to shared memory; `barrier` hears
// of them. One thread calls it.
__device__ inline void copy_bulk(void* to, const void* from, int bytes, Barrier& barrier) {
  PLIMSOLL_SM90A(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(to)),
      "l"(from), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}

// The warpgroup's registers from here on: a kernel's warpgroups give and take.
template <int kRegisters>
__device__ inline void take_registers() {
  PLIMSOLL_SM90A("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ inline void give_registers() {
  PLIMSOLL_SM90A("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// A barrier of some of the block's warps: `threads` of them, barrier 1 to 15.
__device__ inline void sync_named(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// An operand in shared memory, without swizzling: "core matrices" of 8 rows of 16 bytes, 128 bytes
// side by side each. `leading` and `stride` are bytes from one to the next: for an operand whose
// rows are contiguous along k, `leading` along k and `stride` along m or n; for one whose rows are
// contiguous along n, `leading` along k and `stride` along n.
__device__ inline std::uint64_t operand(const void* at, int leading, int stride) {
  return (static_cast<std::uint64_t>(shared_address(at)) & 0x3ffff) >> 4 |
         static_cast<std::uint64_t>(leading >> 4) << 16 |
         static_cast<std::uint64_t>(stride >> 4) << 32;
}
// The operand that lies so many bytes further.
__device__ inline std::uint64_t advanced(std::uint64_t operand, int bytes) {
  return operand + static_cast<std::uint64_t>(bytes >> 4);
}

// Before products whose registers the warps have touched.
__device__ inline void products_begin() {
  PLIMSOLL_SM90A("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void products_commit() {
  PLIMSOLL_SM90A("wgmma.commit_group.sync.aligned;" ::: "memory");
}
// Until at most kPending committed groups are not done.
template <int kPending>
__device__ inline void products_wait() {
  PLIMSOLL_SM90A("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
// Keeps the compiler from reading or moving sums before the wait above this.
template <int kCount>
__device__ inline void hold(float (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

#define PLIMSOLL_SUMS8(d, i)                                                                  \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define PLIMSOLL_SUMS32(d, i)                                                \
  PLIMSOLL_SUMS8(d, i), PLIMSOLL_SUMS8(d, i + 8), PLIMSOLL_SUMS8(d, i + 16), \
      PLIMSOLL_SUMS8(d, i + 24)
#define PLIMSOLL_NAMES32                                                                       \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, " \
  "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define PLIMSOLL_SUMS16(d, i) PLIMSOLL_SUMS8(d, i), PLIMSOLL_SUMS8(d, i + 8)
#define PLIMSOLL_NAMES40 PLIMSOLL_NAMES32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define PLIMSOLL_NAMES48 PLIMSOLL_NAMES40 ", %40, %41, %42, %43, %44, %45, %46, %47"
#define PLIMSOLL_NAMES64 \
  PLIMSOLL_NAMES48       \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

// Sums of m64: value 4 n + j of lane 4 g + t of warp w is that of row 16 w + g + 8 (j / 2), column
// 8 n + 2 t + j % 2.

#define PLIMSOLL_WGMMA_SS(type)                                                          \
  PLIMSOLL_SM90A(                                                                        \
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"                                   \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" PLIMSOLL_NAMES64 \
      "}, %64, %65, add, 1, 1, 0, 0;\n}"                                                 \
      : PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS32(d, 32)                                    \
      : "l"(a), "l"(b), "r"(add))

// d = a b, or d += a b with `add`: a [64, 16] and b [16, 128] in shared memory, rows of both
// contiguous along k.
template <bool kBf16>
__device__ inline void product(float (&d)[64], std::uint64_t a, std::uint64_t b, int add) {
  if constexpr (kBf16) {
    PLIMSOLL_WGMMA_SS("bf16");
  } else {
    PLIMSOLL_WGMMA_SS("f16");
  }
}

#define PLIMSOLL_WGMMA_RS(n, type, names, a0, a1, a2, a3, b, ...)                          \
  PLIMSOLL_SM90A("wgmma.mma_async.sync.aligned.m64n" n "k16.f32." type "." type " {" names \
                 "}, {" a0 ", " a1 ", " a2 ", " a3 "}, " b ", 1, 1, 1, 1;"                 \
                 : __VA_ARGS__                                                             \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b_at))

// d += a b: a [64, 16] in registers, which lie as operand A of mma.m16n8k16 in every warp; b
// [16, 64, 80, 96 or 128] in shared memory, rows contiguous along n.
template <bool kBf16>
__device__ inline void product(float (&d)[32], const std::uint32_t* a, std::uint64_t b_at) {
  if constexpr (kBf16) {
    PLIMSOLL_WGMMA_RS("64", "bf16", PLIMSOLL_NAMES32, "%32", "%33", "%34", "%35", "%36",
                      PLIMSOLL_SUMS32(d, 0));
  } else {
    PLIMSOLL_WGMMA_RS("64", "f16", PLIMSOLL_NAMES32, "%32", "%33", "%34", "%35", "%36",
                      PLIMSOLL_SUMS32(d, 0));
  }
}
template <bool kBf16>
__device__ inline void product(float (&d)[40], const std::uint32_t* a, std::uint64_t b_at) {
  if constexpr (kBf16) {
    PLIMSOLL_WGMMA_RS("80", "bf16", PLIMSOLL_NAMES40, "%40", "%41", "%42", "%43", "%44",
                      PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS8(d, 32));
  } else {
    PLIMSOLL_WGMMA_RS("80", "f16", PLIMSOLL_NAMES40, "%40", "%41", "%42", "%43", "%44",
                      PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS8(d, 32));
  }
}
template <bool kBf16>
__device__ inline void product(float (&d)[48], const std::uint32_t* a, std::uint64_t b_at) {
  if constexpr (kBf16) {
    PLIMSOLL_WGMMA_RS("96", "bf16", PLIMSOLL_NAMES48, "%48", "%49", "%50", "%51", "%52",
                      PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS16(d, 32));
  } else {
    PLIMSOLL_WGMMA_RS("96", "f16", PLIMSOLL_NAMES48, "%48", "%49", "%50", "%51", "%52",
                      PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS16(d, 32));
  }
}
template <bool kBf16>
__device__ inline void product(float (&d)[64], const std::uint32_t* a, std::uint64_t b_at) {
  if constexpr (kBf16) {
    PLIMSOLL_WGMMA_RS("128", "bf16", PLIMSOLL_NAMES64, "%64", "%65", "%66", "%67", "%68",
                      PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS32(d, 32));
  } else {
    PLIMSOLL_WGMMA_RS("128", "f16", PLIMSOLL_NAMES64, "%64", "%65", "%66", "%67", "%68",
                      PLIMSOLL_SUMS32(d, 0), PLIMSOLL_SUMS32(d, 32));
  }
}

}  // namespace plimsoll::cuda_device::hopper
