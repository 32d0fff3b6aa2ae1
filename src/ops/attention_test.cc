#include "ops/attention.h"

#include <gtest/gtest.h>

#include "core/cpu.h"
#include "kernels/attention_decode/attention_decode.h"
#include "support/support.h"

namespace plimsoll::ops {
namespace {

kernels::AttentionArgs shape(std::int64_t q_len, std::int64_t head_dim = 64) {
  kernels::AttentionArgs args;
  args.q_len = q_len;
  args.heads = 8;
  args.kv.layout = {kv::KvFormat::f32, 2, head_dim};
  args.kv.length = 1000;
  return args;
}

Context with(Attention attention, Numerics numerics = Numerics::fast) {
  Context context;
  context.attention = attention;
  context.numerics = numerics;
  return context;
}

std::string chosen(const Context& context, const kernels::AttentionArgs& args) {
  const std::string name(choose_attention(context, args).variant->name);
  return name.substr(0, name.rfind('_'));  // without the instruction set
}

TEST(AttentionChoice, SdpaTakesDecodeForFewRowsAndFlashForMany) {
  if (current_isa() < Isa::avx2) GTEST_SKIP() << "a CPU without AVX2";
  const Context sdpa = with(Attention::sdpa);
  EXPECT_EQ(chosen(sdpa, shape(1)), "attention_decode");
  EXPECT_EQ(chosen(sdpa, shape(16)), "attention_decode");
  EXPECT_EQ(chosen(sdpa, shape(17)), "attention_flash");
  EXPECT_EQ(choose_attention(sdpa, shape(1)).reason,
            "4 query rows a KV head, at most 64: threads split the keys");
  EXPECT_EQ(choose_attention(sdpa, shape(17)).reason,
            "68 query rows a KV head, more than 64: threads split the queries");
  EXPECT_EQ(chosen(with(Attention::flash), shape(1)), "attention_flash");
}

TEST(AttentionChoice, SaysWhyTheDotProductVariantDoesNotRun) {
  if (current_isa() < Isa::avx512_bf16) GTEST_SKIP() << "a CPU without AVX-512 BF16";
  const auto& dot = kernels::attention_decode_variants().front();
  kernels::AttentionArgs args = shape(1);
  args.compute = Compute::fast;
  args.kv.layout.format = kv::KvFormat::int8;
  EXPECT_EQ(dot.supports(args).reason, "bf16 keys and values only");
  EXPECT_EQ(choose_attention(with(Attention::sdpa), args).variant->name, "attention_decode_avx512");
  args.kv.layout.format = kv::KvFormat::bf16;
  EXPECT_TRUE(dot.supports(args));
  EXPECT_EQ(choose_attention(with(Attention::sdpa), args).variant->name, dot.name);
}

TEST(AttentionChoice, BeyondTheLargestHeadDim) {
  if (current_isa() < Isa::avx2) GTEST_SKIP() << "a CPU without AVX2";
  EXPECT_EQ(chosen(with(Attention::sdpa), shape(1, 320)), "attention_eager");
  EXPECT_EQ(choose_attention(with(Attention::sdpa), shape(1, 320)).reason,
            "attention_decode_avx2: head dim 320: at most 256");
  EXPECT_EQ(
      choose_attention(with(Attention::sdpa, Numerics::invariant), shape(1, 320)).variant->name,
      "attention_ref");
  EXPECT_EQ(
      test::message_of<InputError>([] { choose_attention(with(Attention::flash), shape(1, 320)); }),
      "--attention: implementation: found flash, expected eager or sdpa: "
      "attention_flash_avx2: head dim 320: at most 256");
}

TEST(AttentionChoice, EagerPromisesNoOrder) {
  EXPECT_EQ(chosen(with(Attention::eager), shape(1)), "attention_eager");
  EXPECT_EQ(test::message_of<InputError>(
                [] { choose_attention(with(Attention::eager, Numerics::invariant), shape(1)); }),
            "--attention: implementation: found eager, expected flash or sdpa: the library behind "
            "eager promises no order of additions, which --numerics invariant needs");
}

TEST(AttentionChoice, EagerSaysWhatItNeeds) {
  // A score matrix a head and thread, fp32, besides keys and values of a KV head.
  kernels::AttentionArgs args = shape(1000);
  const std::int64_t a_thread = 1000 * 1000 * 4 + 2 * 1000 * 64 * 4;
  EXPECT_EQ(choose_attention(with(Attention::eager), args).needs_memory % a_thread, 0);
  EXPECT_GT(choose_attention(with(Attention::eager), args).needs_memory, 0);
  EXPECT_EQ(choose_attention(with(Attention::flash), args).needs_memory, 0);

  // Refused before anything is allocated.
  kv::BlockPool pool({1, 1, 1}, 1000000);
  kv::Sequence sequence(pool);
  sequence.extend(1000000);
  const SequenceRows rows{&sequence, 0, 1000000};
  const Tensor q = Tensor::zeros(DType::f32, {1000000, 1});
  const std::string message = test::message_of<InputError>([&] {
    attention(with(Attention::eager), std::span(&rows, 1), 0, q, {1, 1, std::nullopt});
  });
  EXPECT_TRUE(message.starts_with("eager attention of 1000000 queries over 1000000 keys needs "))
      << message;
  args = shape(1000000);
  args.kv.length = 1000000;
  EXPECT_TRUE(test::message_of<InputError>([&] {
                require_attention_memory(with(Attention::eager), args);
              }).starts_with("eager attention of 1000000 queries over 1000000 keys needs "));
  EXPECT_NO_THROW(require_attention_memory(with(Attention::flash), args));
}

}  // namespace
}  // namespace plimsoll::ops
