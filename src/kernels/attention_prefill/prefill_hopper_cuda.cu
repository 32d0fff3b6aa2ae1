#include <algorithm>
#include <type_traits>

#include "kernels/attention_prefill/prefill_hopper_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

int multiprocessors() {
  static const int kCount = [] {
    int device = 0;
    int count = 0;
    PLIMSOLL_CUDA_CHECK(cudaGetDevice(&device));
    PLIMSOLL_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
    return count;
  }();
  return kCount;
}

template <KvFormat kFormat, int kDim>
void run(const PrefillPlan& plan, cudaStream_t stream) {
  constexpr auto kKernel = flash3::prefill_kernel<kFormat, kDim>;
  constexpr std::size_t kBytes = sizeof(flash3::Shared<kDim>);
  allow_shared(kKernel, kBytes);
  const auto enqueue = [&](const flash3::Spans& spans) {
    const auto items = static_cast<unsigned>(spans.first_group[spans.count] * plan.args.heads);
    const unsigned blocks = std::min(items, static_cast<unsigned>(multiprocessors()));
    launch(kKernel, {dim3(blocks), dim3(flash3::kThreads), kBytes, plan.args.dependent}, stream,
           plan, spans);
  };
  flash3::Spans spans;
  for (const PrefillSpan& span : plan.args.spans) {
    if (span.rows == 0) continue;
    if (spans.count == flash3::kMostSpans) {
      enqueue(spans);
      spans.count = 0;
    }
    const auto rows = static_cast<int>(span.rows);
    spans.begin[spans.count] = static_cast<int>(span.begin);
    spans.rows[spans.count] = rows;
    spans.first_group[spans.count + 1] =
        spans.first_group[spans.count] + (rows + flash3::kRows - 1) / flash3::kRows;
    ++spans.count;
  }
  if (spans.count > 0) enqueue(spans);
}

template <KvFormat kFormat>
void run(const PrefillPlan& plan, cudaStream_t stream) {
  return plan.sizes.padded_dim == 64 ? run<kFormat, 64>(plan, stream)
                                     : run<kFormat, 128>(plan, stream);
}

}  // namespace

bool hopper_supports([[maybe_unused]] const kv::KvLayout& layout) {
#ifdef PLIMSOLL_HAS_SM90A
  return gpu_generation() == 9 &&
         (layout.format == KvFormat::fp16 || layout.format == KvFormat::bf16) &&
         (layout.padded_dim() == 64 || layout.padded_dim() == 128);
#else
  return false;
#endif
}

void prefill_hopper(const PrefillPlan& plan, cudaStream_t stream) {
  return plan.args.kv.layout.format == KvFormat::bf16 ? run<KvFormat::bf16>(plan, stream)
                                                      : run<KvFormat::fp16>(plan, stream);
}

}  // namespace plimsoll::kernels
