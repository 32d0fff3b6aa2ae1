#include "ops/elementwise.h"

#include <algorithm>

#include "core/rng.h"
#include "core/threads.h"
#include "core/trace.h"
#include "kernels/activation/activation.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/panels/panels.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/widen/widen.h"
#include "ops/device.h"
#include "ops/training_device.h"

namespace plimsoll::ops {

namespace {

std::int64_t bytes(const Tensor& tensor) {
  return static_cast<std::int64_t>(tensor.bytes());
}

kernels::NormArgs norm_args(const Tensor& x, const Tensor& weight, const Tensor* bias,
                            float epsilon, Tensor& y) {
  PLIMSOLL_CHECK(x.shape().size() == 2 && weight.size() == x.dim(1));
  return {x.data<float>(),
          x.dim(0),
          x.dim(1),
          weight.data<float>(),
          bias != nullptr ? bias->data<float>() : nullptr,
          epsilon,
          y.data<float>()};
}

}  // namespace

Tensor empty_beside(const Tensor& x, Shape shape) {
  if (TrainingDevice* gpu = training_device(x)) return gpu->empty(std::move(shape));
  return Tensor::empty(DType::f32, std::move(shape));
}

Tensor zeros_beside(const Tensor& x, Shape shape) {
  TrainingDevice* gpu = training_device(x);
  if (gpu == nullptr) return Tensor::zeros(DType::f32, std::move(shape));
  Tensor zeros = gpu->empty(std::move(shape));
  gpu->clear(zeros);
  return zeros;
}

Tensor copy_of(const Tensor& x) {
  TrainingDevice* gpu = training_device(x);
  if (gpu == nullptr) return x.clone();
  Tensor copy = gpu->empty(x.shape());
  x.device()->copy(x.raw(), copy.raw(), x.bytes());
  return copy;
}

Tensor embedding(const quant::Matrix& table, std::span<const std::int32_t> ids) {
  if (TrainingDevice* gpu = training_device(table.codes)) return gpu->embedding(table, ids);
  Tensor rows = Tensor::empty(DType::f32, {static_cast<std::int64_t>(ids.size()), table.columns});
  const trace::Part part("embedding");
  const trace::Scope scope("embedding", bytes(rows), 0);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    PLIMSOLL_CHECK(ids[i] >= 0 && ids[i] < table.rows, "id {}", ids[i]);
    float* out = rows.data<float>() + static_cast<std::int64_t>(i) * table.columns;
    if (table.layout == quant::Layout::panels) {
      kernels::read_panel_row(table, ids[i], out);
      continue;
    }
    const Tensor row = table.codes.rows(ids[i], ids[i] + 1);
    kernels::widen(row.raw(), row.dtype(), table.columns, out);
  }
  return rows;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, float epsilon) {
  if (TrainingDevice* gpu = training_device(x)) return gpu->norm(x, weight, nullptr, epsilon);
  Tensor y = Tensor::empty(DType::f32, x.shape());
  const trace::Part part("norm");
  const trace::Scope scope("rms_norm", 2 * bytes(x), 4 * x.size());
  kernels::rms_norm(norm_args(x, weight, nullptr, epsilon, y));
  return y;
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float epsilon) {
  if (TrainingDevice* gpu = training_device(x)) return gpu->norm(x, weight, &bias, epsilon);
  Tensor y = Tensor::empty(DType::f32, x.shape());
  PLIMSOLL_CHECK(bias.size() == x.dim(1));
  const trace::Part part("norm");
  const trace::Scope scope("layer_norm", 2 * bytes(x), 7 * x.size());
  kernels::layer_norm(norm_args(x, weight, &bias, epsilon, y));
  return y;
}

RopeTable rope_table(std::span<const std::int64_t> positions, std::span<const float> frequencies,
                     Device* device) {
  const auto rows = static_cast<std::int64_t>(positions.size());
  const auto half = static_cast<std::int64_t>(frequencies.size());
  RopeTable table{Tensor::empty(DType::f32, {rows, half}), Tensor::empty(DType::f32, {rows, half})};
  const trace::Part part("attention");
  const trace::Scope scope("rope_table", 2 * bytes(table.cosine), 0);
  kernels::rope_angles(positions.data(), rows, frequencies.data(), half, table.cosine.data<float>(),
                       table.sine.data<float>());
  if (device != nullptr) {
    TrainingDevice& gpu = device->training();
    return {gpu.upload(table.cosine), gpu.upload(table.sine)};
  }
  return table;
}

void rope(Tensor& x, std::int64_t head_dim, const RopeTable& table) {
  PLIMSOLL_CHECK(x.dim(1) % head_dim == 0 && table.cosine.dim(0) == x.dim(0) &&
                 table.cosine.dim(1) * 2 == head_dim);
  if (TrainingDevice* gpu = training_device(x)) return gpu->rope(x, head_dim, table);
  const trace::Scope scope("rope", 2 * bytes(x), 3 * x.size());
  kernels::rope({x.data<float>(), x.dim(0), x.dim(1) / head_dim, head_dim,
                 table.cosine.data<float>(), table.sine.data<float>()});
}

void add(Tensor& x, const Tensor& y) {
  PLIMSOLL_CHECK(x.size() == y.size());
  if (TrainingDevice* gpu = training_device(x)) return gpu->add_scaled(x, y, 1);
  const trace::Scope scope("add", 3 * bytes(x), x.size());
  kernels::add(x.data<float>(), y.data<float>(), x.size());
}

void add_scaled(Tensor& x, const Tensor& y, float scale) {
  PLIMSOLL_CHECK(x.size() == y.size());
  if (TrainingDevice* gpu = training_device(x)) return gpu->add_scaled(x, y, scale);
  const trace::Scope scope("add_scaled", 3 * bytes(x), 2 * x.size());
  kernels::add_scaled(x.data<float>(), y.data<float>(), x.size(), scale);
}

void swiglu(Tensor& gate, const Tensor& up) {
  PLIMSOLL_CHECK(gate.size() == up.size());
  if (TrainingDevice* gpu = training_device(gate)) return gpu->swiglu(gate, up);
  const trace::Scope scope("swiglu", 3 * bytes(gate), 5 * gate.size());
  kernels::swiglu(gate.data<float>(), up.data<float>(), gate.size(), gate.data<float>());
}

void gelu(Tensor& x, bool tanh_form) {
  if (TrainingDevice* gpu = training_device(x)) return gpu->gelu(x, tanh_form);
  const trace::Scope scope(tanh_form ? "gelu_tanh" : "gelu_erf", 2 * bytes(x), 10 * x.size());
  (tanh_form ? kernels::gelu_tanh : kernels::gelu_erf)(x.data<float>(), x.size());
}

Tensor columns(const Tensor& x, std::int64_t begin, std::int64_t width) {
  PLIMSOLL_CHECK(begin >= 0 && begin + width <= x.dim(1));
  if (TrainingDevice* gpu = training_device(x)) return gpu->columns(x, begin, width);
  Tensor y = Tensor::empty(DType::f32, {x.dim(0), width});
  for (std::int64_t row = 0; row < x.dim(0); ++row)
    std::copy_n(x.data<float>() + row * x.dim(1) + begin, width, y.data<float>() + row * width);
  return y;
}

Tensor dropout(const Tensor& x, double share, std::uint64_t seed) {
  if (TrainingDevice* gpu = training_device(x)) return gpu->dropout(x, share, seed);
  Tensor y = Tensor::empty(DType::f32, x.shape());
  const auto keep = static_cast<float>(1 / (1 - share));
  parallel_for(x.dim(0), 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      Rng rng(seed, static_cast<std::uint64_t>(row));
      for (std::int64_t i = row * x.dim(1); i < (row + 1) * x.dim(1); ++i)
        y.data<float>()[i] = rng.uniform() < share ? 0.0f : keep * x.data<float>()[i];
    }
  });
  return y;
}

}  // namespace plimsoll::ops
