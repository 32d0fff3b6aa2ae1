#include "ops/kernel_report.h"

#include "core/variant.h"
#include "kernels/attention_decode/attention_decode.h"
#include "kernels/attention_eager/attention_eager.h"
#include "kernels/attention_flash/attention_flash.h"
#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_dense_panels/gemm_dense_panels.h"
#include "kernels/gemm_fp8/gemm_fp8.h"
#include "kernels/gemm_int4/gemm_int4.h"
#include "kernels/gemm_int8/gemm_int8.h"
#include "kernels/gemm_int8_panels/gemm_int8_panels.h"
#include "kernels/gemm_table4/gemm_table4.h"
#include "kernels/gemm_table4_panels/gemm_table4_panels.h"

namespace plimsoll::ops {

namespace {

template <class Args>
void add(std::span<const KernelVariant<Args>> variants, std::vector<KernelReport>& reports) {
  for (const auto& variant : variants) {
    const Support support = variant.available();
    reports.push_back({variant.name, support.ok, support.reason});
  }
}

}  // namespace

std::vector<KernelReport> all_kernels() {
  std::vector<KernelReport> reports;
  add(kernels::gemm_dense_panels_variants(), reports);
  add(kernels::gemm_dense_variants(), reports);
  add(kernels::gemm_int8_panels_variants(), reports);
  add(kernels::gemm_int8_variants(), reports);
  add(kernels::gemm_table4_panels_variants(), reports);
  add(kernels::gemm_table4_variants(), reports);
  add(kernels::gemm_int4_variants(), reports);
  add(kernels::gemm_fp8_variants(), reports);
  add(kernels::attention_eager_variants(), reports);
  add(kernels::attention_flash_variants(), reports);
  add(kernels::attention_decode_variants(), reports);
  const bool avx2 = current_isa() >= Isa::avx2;
  reports.push_back({"widen_f16_avx2", avx2, avx2 ? "" : "needs avx2"});
  // One portable form each, which the compiler vectorises for every x86-64.
  for (const std::string_view name :
       {"widen", "rms_norm", "layer_norm", "rope", "swiglu", "gelu", "add"}) {
    reports.push_back({name, true, ""});
  }
  return reports;
}

}  // namespace plimsoll::ops
