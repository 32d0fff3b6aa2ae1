#include "ops/backward.h"

#include <gtest/gtest.h>

#include "quant/codec.h"
#include "quant/random_matrix.h"
#include "support/finite_difference.h"

namespace plimsoll::ops {
namespace {

Tensor tensor(const std::vector<float>& values, const Shape& shape) {
  return Tensor::from(std::span<const float>(values), shape);
}
std::vector<float> values(const Tensor& t) {
  return {t.data<float>(), t.data<float>() + t.size()};
}

// The gradient that reaches the input of a linear layer goes through what the format decodes to:
// y = x W^T in double with the decoded W.
TEST(LinearBackward, InputThroughEveryFormat) {
  constexpr std::int64_t kRows = 3, kOut = 24, kIn = 128;
  const auto x = test::random_floats(kRows * kIn, 1), dy = test::random_floats(kRows * kOut, 2);
  int formats = 0;
  for (const quant::WeightFormat format : quant::all_formats()) {
    const quant::Matrix w = quant::random_matrix(format, kOut, kIn, {}, 3);
    const Tensor decoded = quant::decode(w);
    Tensor dx = Tensor::zeros(DType::f32, {kRows, kIn});
    linear_input_backward(w, tensor(dy, {kRows, kOut}), dx, 0.5f);
    // A sum of 24 products in fp32: 24 2^-24 of the terms' magnitudes.
    test::expect_gradient(
        [&](const auto& v) {
          double total = 0;
          for (std::int64_t r = 0; r < kRows; ++r)
            for (std::int64_t o = 0; o < kOut; ++o)
              for (std::int64_t i = 0; i < kIn; ++i)
                total += 0.5 * dy[static_cast<std::size_t>(r * kOut + o)] *
                         v[static_cast<std::size_t>(r * kIn + i)] *
                         decoded.data<float>()[o * kIn + i];
          return total;
        },
        x, values(dx), 1e-5, 7);
    ++formats;
  }
  EXPECT_EQ(formats, 14);
}

// More decoded weights than are held at once.
TEST(LinearBackward, BlockByBlockIsTheSame) {
  constexpr std::int64_t kOut = 700, kIn = 2048;
  const quant::Matrix w = quant::random_matrix(quant::WeightFormat::nf4, kOut, kIn, {}, 5);
  const Tensor dy = tensor(test::random_floats(2 * kOut, 6), {2, kOut});
  Tensor blocks = Tensor::zeros(DType::f32, {2, kIn}), whole = Tensor::zeros(DType::f32, {2, kIn});
  linear_input_backward(w, dy, blocks);
  quant::Matrix dense;
  dense.codes = quant::decode(w);
  dense.rows = kOut;
  dense.columns = kIn;
  linear_input_backward(dense, dy, whole);
  double largest = 0;
  for (const float value : values(whole)) largest = std::max<double>(largest, std::abs(value));
  for (std::size_t i = 0; i < values(whole).size(); ++i)
    EXPECT_NEAR(values(blocks)[i], values(whole)[i], 1e-5 * largest);
}

TEST(LinearBackward, WeightAndBias) {
  constexpr std::int64_t kRows = 5, kOut = 3, kIn = 4;
  const auto x = test::random_floats(kRows * kIn, 1), dy = test::random_floats(kRows * kOut, 2),
             w = test::random_floats(kOut * kIn, 3), b = test::random_floats(kOut, 4);
  Tensor dw = Tensor::zeros(DType::f32, {kOut, kIn}), db = Tensor::zeros(DType::f32, {kOut});
  linear_weight_backward(tensor(dy, {kRows, kOut}), tensor(x, {kRows, kIn}), dw, 2);
  linear_bias_backward(tensor(dy, {kRows, kOut}), db);
  test::expect_gradient(
      [&](const auto& v) {
        double total = 0;
        for (std::size_t r = 0; r < kRows; ++r)
          for (std::size_t o = 0; o < kOut; ++o)
            for (std::size_t i = 0; i < kIn; ++i)
              total += 2 * dy[r * kOut + o] * x[r * kIn + i] * v[o * kIn + i];
        return total;
      },
      w, values(dw), 1e-6);
  test::expect_gradient(
      [&](const auto& v) {
        double total = 0;
        for (std::size_t r = 0; r < kRows; ++r)
          for (std::size_t o = 0; o < kOut; ++o) total += dy[r * kOut + o] * v[o];
        return total;
      },
      b, values(db), 1e-6);
}

TEST(EmbeddingBackward, RowsThatOccurTwiceGetBoth) {
  Tensor table = Tensor::zeros(DType::f32, {4, 2});
  const std::vector<std::int32_t> ids{3, 1, 3};
  embedding_backward(ids, tensor({1, 2, 3, 4, 5, 6}, {3, 2}), table);
  EXPECT_EQ(values(table), (std::vector<float>{0, 0, 3, 4, 0, 0, 6, 8}));
}

// Two sequences in one flat list: each as if it were alone.
TEST(TrainingAttention, SequencesDoNotSeeEachOther) {
  constexpr std::int64_t kDim = 4, kHeads = 2, kRows = 9;
  TrainingAttention both;
  both.q = tensor(test::random_floats(kRows * kHeads * kDim, 1), {kRows, kHeads * kDim});
  both.k = tensor(test::random_floats(kRows * kDim, 2), {kRows, kDim});
  both.v = tensor(test::random_floats(kRows * kDim, 3), {kRows, kDim});
  both.bounds = {0, 4, 9};
  both.settings = {kHeads, 0.5f, std::nullopt};
  both.head_dim = kDim;
  training_attention(both);
  const Tensor dout = tensor(test::random_floats(kRows * kHeads * kDim, 4), both.q.shape());
  const auto zeros = [](const Tensor& t) { return Tensor::zeros(DType::f32, t.shape()); };
  Tensor dq = zeros(both.q), dk = zeros(both.k), dv = zeros(both.v);
  training_attention_backward(both, dout, dq, dk, dv);
  for (const auto& [begin, end] : {std::pair{0, 4}, std::pair{4, 9}}) {
    TrainingAttention one = both;
    one.q = both.q.rows(begin, end), one.k = both.k.rows(begin, end),
    one.v = both.v.rows(begin, end);
    one.bounds = {0, end - begin};
    training_attention(one);
    EXPECT_EQ(values(one.out), values(both.out.rows(begin, end)));
    Tensor q = zeros(one.q), k = zeros(one.k), v = zeros(one.v);
    training_attention_backward(one, dout.rows(begin, end), q, k, v);
    EXPECT_EQ(values(q), values(dq.rows(begin, end)));
    EXPECT_EQ(values(k), values(dk.rows(begin, end)));
    EXPECT_EQ(values(v), values(dv.rows(begin, end)));
  }
}

}  // namespace
}  // namespace plimsoll::ops
