#include "kernels/gemm_dense/gemm_dense.h"

#include <array>

#include "core/threads.h"
#include "kernels/gemm_dense/gemm_dense_isa.h"

namespace plimsoll::kernels {

namespace {

using quant::WeightFormat;

void run_rows(const DenseRowsKernels& kernels, const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const DenseRowsKernel kernel = w.format == WeightFormat::fp32   ? kernels.f32
                                 : w.format == WeightFormat::fp16 ? kernels.f16
                                                                  : kernels.bf16;
  // At least 64 K weights a thread: waking another one costs a few microseconds.
  parallel_for(w.rows, 1 + (1 << 16) / w.columns, [&](std::int64_t begin, std::int64_t end) {
    kernel(args.x, args.rows, w.codes.raw(), w.columns, begin, end, args.y, w.rows);
  });
}

Support takes_many_rows(const LinearArgs& args) {
  if (args.numerics == Numerics::invariant)
    return Support::no("the library's order of additions is its own: --numerics fast only");
  if (args.rows >= kDenseLibraryRows) return Support::yes();
  return Support::no(fmt::format("from {} rows on", kDenseLibraryRows));
}

Support takes_many_bf16_rows(const LinearArgs& args) {
  if (args.compute != Compute::fast) return Support::no("rounds activations: --compute fast only");
  if (args.weight->format != WeightFormat::bf16) return Support::no("bf16 weights only");
  return takes_many_rows(args);
}

const std::array<KernelVariant<LinearArgs>, 5> kVariants{{
    {"gemm_bf16_onednn", Isa::avx512_bf16, takes_many_bf16_rows, gemm_bf16_onednn},
    {"gemm_dense_onednn", Isa::avx2, takes_many_rows, gemm_dense_onednn},
    {"gemm_dense_avx512", Isa::avx512, nullptr,
     [](const LinearArgs& args) { run_rows(kDenseRowsAvx512, args); }},
    {"gemm_dense_avx2", Isa::avx2, nullptr,
     [](const LinearArgs& args) { run_rows(kDenseRowsAvx2, args); }},
    {"gemm_dense_ref", Isa::scalar, nullptr, gemm_dense_ref},
}};

}  // namespace

std::span<const KernelVariant<LinearArgs>> gemm_dense_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
