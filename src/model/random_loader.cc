#include "model/random_loader.h"

#include <algorithm>

#include "quant/random_matrix.h"

namespace plimsoll {

namespace {

/// FNV-1a: std::hash may differ between libraries.
std::uint64_t seed_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

}  // namespace

quant::WeightFormat RandomLoader::dense_format() const {
  return plan_.format && quant::is_dense(*plan_.format) ? *plan_.format : quant::WeightFormat::bf16;
}

quant::Matrix RandomLoader::matrix(const LinearSpec& spec) {
  const quant::WeightFormat format = plan_.quantizes(spec) ? *plan_.format : dense_format();
  const auto make = [&] {
    return quant::random_matrix(format, spec.out, spec.in, plan_.encode, seed_of(spec.name));
  };
  if (!alike_) return make();
  quant::Matrix& known = made_[{format, spec.out, spec.in}];
  if (!known.codes.defined()) known = make();
  return known;
}

ops::Linear RandomLoader::linear(const LinearSpec& spec) {
  report(progress_, "making random weights", done_, matrices_);
  ops::Linear layer{spec.name, matrix(spec), {}};
  if (plan_.pack) ops::pack(layer.weight);
  if (spec.bias) layer.bias = Tensor::zeros(DType::f32, {spec.out});
  report(progress_, "making random weights", ++done_, matrices_);
  return layer;
}

quant::Matrix RandomLoader::table(const std::string& name, std::int64_t rows,
                                  std::int64_t columns) {
  return quant::random_matrix(dense_format(), rows, columns, {}, seed_of(name));
}

Tensor RandomLoader::vector(const std::string& name, std::int64_t size) {
  Tensor tensor = Tensor::zeros(DType::f32, {size});
  if (name.ends_with(".weight")) std::fill_n(tensor.data<float>(), size, 1.0f);
  return tensor;
}

}  // namespace plimsoll
