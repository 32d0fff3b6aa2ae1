#include "core/threads.h"
#include "kernels/gemm_dense/gemm_dense.h"

namespace plimsoll::kernels {

namespace {

template <class W>
void multiply(const LinearArgs& args) {
  const quant::Matrix& w = *args.weight;
  const W* weights = w.codes.data<W>();
  parallel_for(w.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = 0; row < args.rows; ++row) {
      for (std::int64_t out = begin; out < end; ++out) {
        double sum = 0;
        for (std::int64_t k = 0; k < w.columns; ++k) {
          sum += static_cast<double>(args.x[row * w.columns + k]) *
                 static_cast<double>(to_float(weights[out * w.columns + k]));
        }
        args.y[row * w.rows + out] = static_cast<float>(sum);
      }
    }
  });
}

}  // namespace

void gemm_dense_ref(const LinearArgs& args) {
  switch (args.weight->codes.dtype()) {
    case DType::f32:
      return multiply<float>(args);
    case DType::f16:
      return multiply<fp16>(args);
    case DType::bf16:
      return multiply<bf16>(args);
    default:
      PLIMSOLL_CHECK(false, "{} weights", dtype_name(args.weight->codes.dtype()));
  }
}

}  // namespace plimsoll::kernels
