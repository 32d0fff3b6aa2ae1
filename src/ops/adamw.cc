#include "ops/adamw.h"

#include "core/trace.h"
#include "ops/training_device.h"

namespace plimsoll::ops {

void adamw(Tensor& values, const Tensor& gradients, Tensor& mean, Tensor& square,
           const kernels::AdamWArgs& settings) {
  PLIMSOLL_CHECK(gradients.size() == values.size() && mean.size() == values.size() &&
                 square.size() == values.size());
  if (TrainingDevice* gpu = training_device(values))
    return gpu->adamw(values, gradients, mean, square, settings);
  const trace::Scope scope("adamw", static_cast<std::int64_t>(7 * values.bytes()),
                           15 * values.size());
  kernels::AdamWArgs args = settings;
  args.values = values.data<float>();
  args.gradients = gradients.data<float>();
  args.mean = mean.data<float>();
  args.square = square.data<float>();
  args.count = values.size();
  kernels::adamw(args);
}

double sum_of_squares(const Tensor& x) {
  if (TrainingDevice* gpu = training_device(x)) return gpu->sum_of_squares(x);
  double total = 0;
  for (const float value : x.span<float>()) total += static_cast<double>(value) * value;
  return total;
}

}  // namespace plimsoll::ops
