#include "kernels/onednn.h"

#include <oneapi/dnnl/dnnl.hpp>

#include "core/cpu.h"
#include "core/error.h"

namespace plimsoll::kernels {

namespace {

/// --isa holds for the library too. It takes the limit only before its first use.
void respect_isa_limit() {
  static const bool once = [] {
    if (current_isa() == detected_isa()) return true;
    dnnl::set_max_cpu_isa(current_isa() >= Isa::avx512 ? dnnl::cpu_isa::avx512_core_vnni
                          : current_isa() >= Isa::avx2 ? dnnl::cpu_isa::avx2
                                                       : dnnl::cpu_isa::sse41);
    return true;
  }();
  (void)once;
}

const dnnl::engine& engine() {
  respect_isa_limit();
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

}  // namespace

std::string onednn_version() {
  const dnnl::version_t* version = dnnl::version();
  const char* threading = version->cpu_runtime == DNNL_RUNTIME_OMP   ? "OpenMP"
                          : version->cpu_runtime == DNNL_RUNTIME_TBB ? "TBB"
                                                                     : "another threading";
  return fmt::format("{}.{}.{}, {}", version->major, version->minor, version->patch, threading);
}

void sgemm(bool b_transposed, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float* c,
           std::int64_t ldc) {
  sgemm({false, b_transposed, m, n, k, alpha, a, lda, b, ldb, 0.0f, c, ldc});
}

void sgemm(const GemmArgs& args) {
  respect_isa_limit();
  const dnnl_status_t status = dnnl_sgemm(
      args.a_transposed ? 'T' : 'N', args.b_transposed ? 'T' : 'N', args.m, args.n, args.k,
      args.alpha, args.a, args.lda, args.b, args.ldb, args.beta, args.c, args.ldc);
  PLIMSOLL_CHECK(status == dnnl_success, "oneDNN sgemm: {}", static_cast<int>(status));
}

void gemm_bf16(std::int64_t m, std::int64_t n, std::int64_t k, const void* a, const void* b,
               float* c) {
  using dnnl::memory;
  const memory::desc a_desc({m, k}, memory::data_type::bf16, memory::format_tag::ab);
  const memory::desc b_desc({k, n}, memory::data_type::bf16, memory::format_tag::ba);
  const memory::desc c_desc({m, n}, memory::data_type::f32, memory::format_tag::ab);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc descriptor(engine(), a_desc, b_desc, c_desc);
#else
  const dnnl::matmul::primitive_desc descriptor(dnnl::matmul::desc(a_desc, b_desc, c_desc),
                                                engine());
#endif
  dnnl::stream stream(engine());
  dnnl::matmul(descriptor)
      .execute(stream, {{DNNL_ARG_SRC, memory(a_desc, engine(), const_cast<void*>(a))},
                        {DNNL_ARG_WEIGHTS, memory(b_desc, engine(), const_cast<void*>(b))},
                        {DNNL_ARG_DST, memory(c_desc, engine(), c)}});
  stream.wait();
}

}  // namespace plimsoll::kernels
