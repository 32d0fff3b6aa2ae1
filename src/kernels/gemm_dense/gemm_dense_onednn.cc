#include <algorithm>
#include <vector>

#include "core/threads.h"
#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/onednn.h"
#include "kernels/widen/widen.h"

namespace plimsoll::kernels {

namespace {

// Output rows widened to fp32 at once: at 2048 columns 0.5 MB, which stays in a core's L2.
constexpr std::int64_t kPanelRows = 64;

void multiply_by_panels(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const std::int64_t panels = (w.rows + kPanelRows - 1) / kPanelRows;
  parallel_for(panels, 1, [&](std::int64_t first, std::int64_t last) {
    std::vector<float> panel(static_cast<std::size_t>(kPanelRows * w.columns));
    for (std::int64_t index = first; index < last; ++index) {
      const std::int64_t begin = index * kPanelRows;
      const std::int64_t count = std::min(kPanelRows, w.rows - begin);
      const Tensor rows = w.codes.rows(begin, begin + count);
      widen(rows.raw(), rows.dtype(), rows.size(), panel.data());
      sgemm(true, args.rows, count, w.columns, 1.0f, args.x, w.columns, panel.data(), w.columns,
            args.y + begin, w.rows);
    }
  });
}

}  // namespace

void gemm_dense_onednn(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  if (w.codes.dtype() != DType::f32) return multiply_by_panels(args);
  sgemm(true, args.rows, w.rows, w.columns, 1.0f, args.x, w.columns, w.codes.data<float>(),
        w.columns, args.y, w.rows);
}

void gemm_bf16_onednn(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const Tensor x = Tensor::view(args.x, DType::f32, {args.rows, w.columns}, nullptr);
  gemm_bf16(args.rows, w.rows, w.columns, converted(x, DType::bf16).raw(), w.codes.raw(), args.y);
}

}  // namespace plimsoll::kernels
