#include "kernels/machine_probe/machine_probe.h"

#include <array>

namespace plimsoll::kernels {

namespace {

template <std::uint64_t (*kRead)(const std::uint64_t*, std::int64_t, int)>
void read(const ReadArgs& args) {
  PLIMSOLL_CHECK(args.streams >= 1 && args.streams <= kProbeStreams);
  PLIMSOLL_CHECK(args.count % (8 * args.streams) == 0, "{} words, {} streams", args.count,
                 args.streams);
  *args.checksum = kRead(args.words, args.count / args.streams, args.streams);
}

template <std::int64_t (*kMultiply)(std::int64_t)>
void multiply(const DotArgs& args) {
  PLIMSOLL_CHECK(args.iterations >= 0 && args.iterations <= kProbeIterations);
  *args.products = kMultiply(args.iterations);
}

constexpr std::array<KernelVariant<ReadArgs>, 3> kRead{{
    {"read_probe_avx512", Isa::avx512, nullptr, read<read_words_avx512>},
    {"read_probe_avx2", Isa::avx2, nullptr, read<read_words_avx2>},
    {"read_probe_scalar", Isa::scalar, nullptr, read<read_words_scalar>},
}};
constexpr std::array<KernelVariant<DotArgs>, 3> kFp32{{
    {"fp32_probe_avx512", Isa::avx512, nullptr, multiply<fp32_products_avx512>},
    {"fp32_probe_avx2", Isa::avx2, nullptr, multiply<fp32_products_avx2>},
    {"fp32_probe_scalar", Isa::scalar, nullptr, multiply<fp32_products_scalar>},
}};
constexpr std::array<KernelVariant<DotArgs>, 1> kBf16{{
    {"bf16_probe_avx512", Isa::avx512_bf16, nullptr, multiply<bf16_products_avx512>},
}};
constexpr std::array<KernelVariant<DotArgs>, 3> kInt8{{
    {"int8_probe_avx512", Isa::avx512, nullptr, multiply<int8_products_avx512>},
    {"int8_probe_avx2", Isa::avx2, nullptr, multiply<int8_products_avx2>},
    {"int8_probe_scalar", Isa::scalar, nullptr, multiply<int8_products_scalar>},
}};

}  // namespace

std::span<const KernelVariant<ReadArgs>> read_probes() {
  return kRead;
}
std::span<const KernelVariant<DotArgs>> fp32_probes() {
  return kFp32;
}
std::span<const KernelVariant<DotArgs>> bf16_probes() {
  return kBf16;
}
std::span<const KernelVariant<DotArgs>> int8_probes() {
  return kInt8;
}

}  // namespace plimsoll::kernels
