#include <algorithm>
#include <type_traits>

#include "kernels/attention_prefill/prefill_hopper_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

#ifdef PLIMSOLL_HAS_SM90A
constexpr bool kBuilt = true;
#else
constexpr bool kBuilt = false;
#endif

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
  switch (plan.sizes.padded_dim) {
    case 64:
      return run<kFormat, 64>(plan, stream);
    case 80:
      return run<kFormat, 80>(plan, stream);
    case 96:
      return run<kFormat, 96>(plan, stream);
    default:
      return run<kFormat, 128>(plan, stream);
  }
}

}  // namespace

const char* hopper_refuses(const kv::KvLayout& layout) {
  if (!kBuilt) return "wgmma was not built, which needs sm_90a";
  if (gpu_generation() != 9) return "the GPU has no wgmma, which sm_90 alone has";
  if (layout.format != KvFormat::fp16 && layout.format != KvFormat::bf16) {
    return "wgmma's kernel takes fp16 and bf16 caches";
  }
  switch (layout.padded_dim()) {
    case 64:
    case 80:
    case 96:
    case 128:
      return nullptr;
    default:
      return "wgmma's kernel takes head dims, padded to 16, of 64, 80, 96 and 128";
  }
}

void prefill_hopper(const PrefillPlan& plan, cudaStream_t stream) {
  return plan.args.kv.layout.format == KvFormat::bf16 ? run<KvFormat::bf16>(plan, stream)
                                                      : run<KvFormat::fp16>(plan, stream);
}

}  // namespace plimsoll::kernels
