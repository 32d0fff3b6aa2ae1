#include "kernels/attention/attention.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/threads.h"
#include "kernels/attention/attention_cases.h"
#include "kernels/attention_decode/attention_decode.h"
#include "kernels/attention_eager/attention_eager.h"
#include "kernels/attention_flash/attention_flash.h"
#include "storage/safetensors.h"
#include "support/support.h"

namespace plimsoll::kernels {
namespace {

using cases::AttentionCase;
using cases::AttentionShape;
using kv::KvFormat;
using Variant = KernelVariant<AttentionArgs>;

/// fast is something else for bf16 alone.
struct Arithmetic {
  KvFormat format;
  Compute compute;
};
constexpr Arithmetic kArithmetics[] = {{KvFormat::f32, Compute::exact},
                                       {KvFormat::bf16, Compute::exact},
                                       {KvFormat::bf16, Compute::fast},
                                       {KvFormat::fp16, Compute::exact},
                                       {KvFormat::int8, Compute::exact}};

std::vector<Variant> all_variants() {
  std::vector<Variant> all;
  for (const auto list :
       {attention_eager_variants(), attention_flash_variants(), attention_decode_variants()}) {
    all.insert(all.end(), list.begin(), list.end());
  }
  return all;
}

bool rounds_to_bf16(const Variant& variant) {
  return variant.name.find("bf16") != std::string_view::npos;
}

/// [heads, tokens, dim] of one batch row as [tokens, heads, dim].
std::vector<float> turned(const float* source, std::int64_t heads, std::int64_t tokens,
                          std::int64_t dim) {
  std::vector<float> target(static_cast<std::size_t>(heads * tokens * dim));
  for (std::int64_t h = 0; h < heads; ++h) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      std::copy_n(source + (h * tokens + t) * dim, dim, target.data() + (t * heads + h) * dim);
    }
  }
  return target;
}

// Cases with float64 results from another implementation.
TEST(Attention, AgreesWithScaledDotProductAttentionElsewhere) {
  const SafetensorsFile file = SafetensorsFile::open(test::golden("sdpa.safetensors"));
  const auto list = nlohmann::json::parse(file.metadata().at("cases"));
  ASSERT_GE(list.size(), 6u);
  for (const auto& c : list) {
    const std::string id = std::to_string(c["case"].get<int>());
    const std::int64_t heads = c["heads"], kv_heads = c["kv_heads"], q_len = c["q_len"],
                       k_len = c["k_len"], dim = c["head_dim"];
    const Tensor q = file.tensor(id + ".q"), k = file.tensor(id + ".k"), v = file.tensor(id + ".v"),
                 expected = file.tensor(id + ".out");
    for (std::int64_t b = 0; b < c["batch"].get<std::int64_t>(); ++b) {
      AttentionCase problem({heads, kv_heads, dim, q_len, k_len, c["causal"].get<bool>(),
                             c["window"].get<std::int64_t>()},
                            KvFormat::f32, Compute::exact);
      const std::int64_t at = b * kv_heads * k_len * dim;
      const auto keys = turned(k.data<float>() + at, kv_heads, k_len, dim);
      const auto values = turned(v.data<float>() + at, kv_heads, k_len, dim);
      const std::int64_t held = problem.args.kv.first / kv::kBlockTokens * kv::kBlockTokens;
      problem.args.kv.first = held;
      kv::write_tokens(problem.args.kv, held, k_len - held, keys.data() + held * kv_heads * dim,
                       values.data() + held * kv_heads * dim);
      problem.q = turned(q.data<float>() + b * heads * q_len * dim, heads, q_len, dim);
      problem.args.q = problem.q.data();
      const auto want = turned(expected.data<float>() + b * heads * q_len * dim, heads, q_len, dim);
      for (const Variant& variant : all_variants()) {
        if (rounds_to_bf16(variant) || !variant.available()) continue;
        problem.clear();
        ASSERT_TRUE(variant.supports(problem.args));
        variant.run(problem.args);
        EXPECT_LE(test::relative_to_largest(problem.out, want), 1e-5)
            << variant.name << " case " << id;
      }
    }
  }
}

/// How far each output may be off the oracle's, which computes in double from the same cache.
///
/// Let a score s = scale sum q k be off by at most e. Then every weight w = exp(s) / sum exp(s) is
/// off by a factor within exp(+-2e), about 1 +- 2e, and the output by 2e A with A = sum w |v|. The
/// sum of n weighted values adds n 2^-24 A as any fp32 sum, and so does that of the weights; the
/// exponential is 2^-22 off, merged splits a few roundings more.
///   fp32   e = (d + 4) 2^-24 scale sum |q k|: the sum over d, and the rounding of q scale log2(e)
///   bf16   q is rounded once: 2^-8 of each product. So are weights: another 2^-8 A. (The
///          accumulator of vdpbf16ps rounds each step as fp32 does.)
std::vector<float> bounds(const AttentionArgs& args, bool bf16) {
  const std::int64_t dim = args.kv.layout.head_dim;
  const double rounding = bf16 ? 0x1p-8 : 0;
  std::vector<float> result, key(static_cast<std::size_t>(dim)), value = key;
  for (std::int64_t i = 0; i < args.q_len; ++i) {
    for (std::int64_t h = 0; h < args.heads; ++h) {
      const float* q = args.q + (i * args.heads + h) * dim;
      double worst = 0, largest = -INFINITY, total = 0;
      std::vector<double> scores, sum(static_cast<std::size_t>(dim));
      for (std::int64_t j = args.visible_begin(i); j < args.visible_end(i); ++j) {
        kv::read_key(args.kv, j, h / args.group(), key.data());
        double dot = 0, magnitude = 0;
        for (std::size_t d = 0; d < key.size(); ++d) {
          dot += static_cast<double>(q[d]) * key[d] * args.scale;
          magnitude += std::fabs(static_cast<double>(q[d]) * key[d] * args.scale);
        }
        worst = std::max(worst, magnitude);
        scores.push_back(dot);
        largest = std::max(largest, dot);
      }
      for (std::size_t j = 0; j < scores.size(); ++j) {
        kv::read_value(args.kv, args.visible_begin(i) + static_cast<std::int64_t>(j),
                       h / args.group(), value.data());
        const double weight = std::exp(scores[j] - largest);
        total += weight;
        for (std::size_t d = 0; d < sum.size(); ++d) sum[d] += weight * std::fabs(value[d]);
      }
      const double e = worst * (rounding + static_cast<double>(dim + 4) * 0x1p-24);
      const double relative = std::expm1(2 * e) + rounding + 0x1p-21 +
                              (2 * static_cast<double>(scores.size()) + 16) * 0x1p-24;
      for (const double x : sum) result.push_back(static_cast<float>(x / total * relative));
    }
  }
  return result;
}

/// Every variant that supports the case, against the oracle, output by output. Returns how many.
int expect_oracle(AttentionCase& problem, const std::string& what) {
  problem.clear();
  attention_ref(problem.args);
  const std::vector<float> expected = problem.out;
  const std::vector<float> exact = bounds(problem.args, false), bf16 = bounds(problem.args, true);
  int ran = 0;
  for (const Variant& variant : all_variants()) {
    if (variant.run == attention_ref || !variant.supports(problem.args)) continue;
    ++ran;
    problem.clear();
    variant.run(problem.args);
    const std::vector<float>& bound = rounds_to_bf16(variant) ? bf16 : exact;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (std::fabs(problem.out[i] - expected[i]) <= bound[i]) continue;
      ADD_FAILURE() << variant.name << ", " << what << ": output " << i << " is " << problem.out[i]
                    << ", expected " << expected[i] << " +- " << bound[i];
      break;
    }
  }
  return ran;
}

/// Variants that this CPU has for a format and compute mode, the oracle left out.
int expected_variants(KvFormat format, Compute compute) {
  int count = 0;
  for (const Variant& variant : all_variants()) {
    if (variant.run == attention_ref || !variant.available()) continue;
    count += !rounds_to_bf16(variant) || (format == KvFormat::bf16 && compute == Compute::fast);
  }
  return count;
}

// Both sides of every border in the code: blocks of 16, tiles of 64, splits of 512, groups of 8
// rows and tiles of 64, registers of 8 and 16 elements, pairs.
constexpr AttentionShape kShapes[] = {
    {1, 1, 64, 1, 1},
    {8, 1, 64, 1, 16},
    {32, 4, 64, 1, 17},
    {6, 2, 32, 1, 65},
    {7, 1, 33, 3, 64},
    {4, 4, 80, 5, 130},
    {2, 2, 65, 40, 40},
    {5, 1, 1, 13, 29},
    {1, 1, 256, 9, 31},
    {3, 3, 47, 70, 145},
    {8, 1, 64, 2, 513},
    {2, 1, 16, 3, 1030},
    {2, 2, 64, 33, 33, false},
    {4, 1, 24, 1, 600, false},
    {2, 1, 64, 90, 90, true, 17},
    {4, 2, 40, 3, 700, true, 100},
    {8, 1, 64, 1, 1100, true, 530},
    {2, 2, 16, 30, 90, false, 20},
    {1, 1, 8, 70, 600, true, 1},
};

TEST(Attention, VariantsEqualTheOracle) {
  for (const auto& [format, compute] : kArithmetics) {
    for (const AttentionShape& shape : kShapes) {
      AttentionCase problem(shape, format, compute);
      const std::string what = fmt::format("format {} heads {}/{} dim {} q {} k {} window {}",
                                           static_cast<int>(format), shape.heads, shape.kv_heads,
                                           shape.head_dim, shape.q_len, shape.k_len, shape.window);
      EXPECT_EQ(expect_oracle(problem, what), expected_variants(format, compute)) << what;
    }
  }
}

/// `variant` over the problem's queries, `chunk` at a time.
std::vector<float> in_chunks(const Variant& variant, AttentionCase& problem, std::int64_t chunk) {
  const AttentionArgs& all = problem.args;
  const std::int64_t width = all.heads * all.kv.layout.head_dim;
  problem.clear();
  for (std::int64_t i = 0; i < all.q_len; i += chunk) {
    AttentionArgs part = all;
    part.q += i * width;
    part.out += i * width;
    part.q_len = std::min(chunk, all.q_len - i);
    part.kv.length = all.kv.length - all.q_len + i + part.q_len;
    variant.run(part);
  }
  return problem.out;
}

// A row has the same bits alone, in a chunk of any length and in the whole prompt, on any number of
// threads, from attention_flash and attention_decode.
TEST(Attention, ARowsBitsDependOnNothingBesideIt) {
  const AttentionShape shapes[] = {{8, 2, 64, 20, 525}, {3, 3, 33, 25, 90, true, 23}};
  const int before = threads();
  int compared = 0;
  for (const auto& [format, compute] : kArithmetics) {
    for (const AttentionShape& shape : shapes) {
      AttentionCase problem(shape, format, compute);
      for (std::size_t v = 0; v + 1 < attention_flash_variants().size(); ++v) {
        const Variant& flash = attention_flash_variants()[v];
        if (!flash.supports(problem.args)) continue;
        set_threads(2);
        const std::vector<float> whole = in_chunks(flash, problem, shape.q_len);
        for (const Variant& variant : {flash, attention_decode_variants()[v]}) {
          for (const int team : {1, 2}) {
            set_threads(team);
            for (const std::int64_t chunk : {1, 7, 25}) {
              const std::vector<float> pieces = in_chunks(variant, problem, chunk);
              EXPECT_EQ(std::memcmp(pieces.data(), whole.data(), whole.size() * sizeof(float)), 0)
                  << variant.name << " format " << static_cast<int>(format) << " threads " << team
                  << " chunk " << chunk;
              ++compared;
            }
          }
        }
      }
    }
  }
  set_threads(before);
  EXPECT_GT(compared, 0);
}

TEST(Attention, VariantsSayWhatTheyLack) {
  AttentionCase wide({1, 1, 257, 1, 3}, KvFormat::f32, Compute::exact);
  AttentionCase exact({1, 1, 64, 1, 3}, KvFormat::bf16, Compute::exact);
  AttentionCase f32({1, 1, 64, 1, 3}, KvFormat::f32, Compute::fast);
  for (const auto list : {attention_flash_variants(), attention_decode_variants()}) {
    EXPECT_EQ(list[1].accepts(wide.args).reason, "head dim 257: at most 256");
    EXPECT_EQ(list[0].accepts(exact.args).reason,
              "rounds queries and weights to bf16: --compute fast only");
    EXPECT_EQ(list[0].accepts(f32.args).reason, "bf16 keys and values only");
    EXPECT_EQ(choose_variant(list, wide.args).name, "attention_ref");
  }
}

TEST(Attention, DroppedKeysAreRefused) {
  AttentionCase problem({1, 1, 64, 1, 40}, KvFormat::f32, Compute::exact);
  problem.args.kv.first = 16;  // but no window says that they are not seen
  for (const Variant& variant : all_variants()) {
    if (!variant.supports(problem.args)) continue;
    EXPECT_THROW(variant.run(problem.args), InternalError) << variant.name;
  }
}

}  // namespace
}  // namespace plimsoll::kernels
