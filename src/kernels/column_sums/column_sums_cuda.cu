#include "kernels/column_sums/column_sums_cuda.cuh"
#include "kernels/column_sums/column_sums_cuda.h"

namespace plimsoll::kernels {

namespace {

struct Element {
  const float* x;
  std::int64_t width;
  __device__ float operator()(std::int64_t row, std::int64_t column) const {
    return x[row * width + column];
  }
};

}  // namespace

void add_column_sums(const float* x, std::int64_t rows, std::int64_t width, float* sums,
                     cudaStream_t stream) {
  add_column_sums_of(Element{x, width}, rows, width, sums, stream);
}

}  // namespace plimsoll::kernels
