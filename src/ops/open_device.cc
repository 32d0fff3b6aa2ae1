#include <charconv>

#include "core/cuda/device.h"
#include "core/error.h"
#include "core/quote.h"
#include "ops/device.h"

#ifdef PLIMSOLL_HAS_CUDA
#include "ops/cuda/open_cuda.h"
#endif

namespace plimsoll::ops {

namespace {

/// The number behind "cuda:", 0 of "cuda"; -1 of anything else.
int index_of(std::string_view name) {
  constexpr std::string_view kKind = "cuda";
  if (name == kKind) return 0;
  if (!name.starts_with("cuda:")) return -1;
  int index = -1;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kKind.size() + 1, end, index);
  return error == std::errc{} && stop == end ? index : -1;
}

}  // namespace

Device& open_device(std::string_view name) {
  const int index = index_of(name);
  if (index < 0) throw InputError("--device", "device", quote(name), "cpu, cuda or cuda:N");
  if (const Support support = cuda::available(); !support) {
    throw InputError("--device", "device", name,
                     fmt::format("cpu: no GPU can be used ({})", support.reason));
  }
  const std::vector<cuda::Device> gpus = cuda::devices();
  const auto count = static_cast<int>(gpus.size());
  if (index >= count) {
    throw InputError(
        "--device", "device", name,
        count == 1 ? "cuda:0, the only one" : fmt::format("cuda:0 to cuda:{}", count - 1));
  }
  if (const Support code = cuda::can_run(gpus[static_cast<std::size_t>(index)]); !code)
    throw InputError("--device", "device", name, "cpu: " + code.reason);
#ifdef PLIMSOLL_HAS_CUDA
  return open_cuda_device(index);
#else
  PLIMSOLL_CHECK(false, "built without CUDA");
#endif
}

}  // namespace plimsoll::ops
