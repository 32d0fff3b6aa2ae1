// Eager, flash and decode at TinyLlama-1.1B's heads, each verified against the oracle before it is
// timed, beside the ceilings that they are measured against in the same run.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/threads.h"
#include "kernels/attention/attention_cases.h"
#include "kernels/attention_decode/attention_decode.h"
#include "kernels/attention_eager/attention_eager.h"
#include "kernels/attention_flash/attention_flash.h"

namespace plimsoll::kernels {
namespace {

using cases::AttentionCase;
using cases::AttentionShape;
using kv::KvFormat;
using Variant = KernelVariant<AttentionArgs>;

constexpr std::int64_t kHeads = 32, kKvHeads = 4, kHeadDim = 64;
constexpr std::int64_t kPrefillTokens[] = {1,  2,   3,   4,   5,    8,    16,   32,
                                           64, 128, 256, 512, 1024, 2048, 4096, 8192};
/// Caches that a decode step goes through: several times what the last-level cache holds.
constexpr std::int64_t kDecodeBytes = 192 << 20;
/// Rows verified, and how far they may be off the largest output: bf16 products round queries and
/// weights by 2^-8 each, of scores whose magnitudes add up to a few units.
constexpr std::int64_t kVerifiedRows = 4;
constexpr double kExactTolerance = 1e-5, kBf16Tolerance = 0.05;

/// The last rows against the oracle.
bool verified(const AttentionCase& problem, double tolerance) {
  AttentionArgs few = problem.args;
  few.q_len = std::min(few.q_len, kVerifiedRows);
  const std::int64_t skipped = (problem.args.q_len - few.q_len) * few.heads * kHeadDim;
  few.q += skipped;
  std::vector<float> expected(problem.out.size() - static_cast<std::size_t>(skipped));
  few.out = expected.data();
  attention_ref(few);
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    difference =
        std::max(difference,
                 std::fabs(static_cast<double>(problem.out[i + static_cast<std::size_t>(skipped)]) -
                           expected[i]));
  }
  return difference <= tolerance * largest;  // false for NaN too
}

struct Bench {
  const Variant* variant;
  std::int64_t q_len, k_len;
  KvFormat format;
  Compute compute;
  bool shuffled = true;
};

/// Keys and values of another layer, the same in another place.
struct Layer {
  Tensor codes;
  std::vector<float> key_scales, value_scales;
  AttentionArgs args;

  explicit Layer(const AttentionCase& problem)
      : codes(empty_on_huge_pages(DType::u8, problem.codes.shape())),
        key_scales(problem.key_scales),
        value_scales(problem.value_scales),
        args(problem.args) {
    std::memcpy(codes.raw(), problem.codes.raw(), codes.bytes());
    args.kv.keys = codes.raw();
    args.kv.values = codes.raw() + args.kv.layout.part_bytes();
    args.kv.key_scales = key_scales.data();
    args.kv.value_scales = value_scales.data();
  }
  Layer(Layer&&) = default;
};

/// Runs the variant over the problem and `layers` in turn.
void time_variant(benchmark::State& state, const Bench& bench, AttentionCase& problem,
                  const std::vector<Layer>& layers) {
  if (const Support support = bench.variant->supports(problem.args); !support) {
    return state.SkipWithError(support.reason.c_str());
  }
  bench.variant->run(problem.args);
  const bool bf16 = bench.variant->name.find("bf16") != std::string_view::npos;
  if (!verified(problem, bf16 ? kBf16Tolerance : kExactTolerance)) {
    return state.SkipWithError("differs from the oracle");
  }
  std::size_t next = 0;
  for ([[maybe_unused]] auto _ : state) {
    bench.variant->run(next == 0 ? problem.args : layers[next - 1].args);
    next = (next + 1) % (layers.size() + 1);
  }
  double pairs = 0;  // of a query and a key that it sees
  for (std::int64_t i = 0; i < bench.q_len; ++i) {
    pairs += static_cast<double>(problem.args.visible_end(i) - problem.args.visible_begin(i));
  }
  const kv::KvLayout& layout = problem.args.kv.layout;
  const auto block_bytes = static_cast<double>(layout.block_bytes() + 8 * layout.block_scales());
  const double bytes =
      static_cast<double>(bench.k_len) * block_bytes / static_cast<double>(kv::kBlockTokens);
  const auto iterations = static_cast<double>(state.iterations());
  using benchmark::Counter;
  state.counters["GOP/s"] =
      Counter(4 * pairs * kHeads * kHeadDim * iterations * 1e-9, Counter::kIsRate);
  state.counters["GB/s"] = Counter(bytes * iterations * 1e-9, Counter::kIsRate);
  state.counters["threads"] = static_cast<double>(threads());
}

AttentionCase problem_of(const Bench& bench) {
  return {AttentionShape{kHeads, kKvHeads, kHeadDim, bench.q_len, bench.k_len}, bench.format,
          bench.compute, bench.shuffled};
}

void prefill(benchmark::State& state, const Bench& bench) {
  AttentionCase problem = problem_of(bench);
  time_variant(state, bench, problem, {});
}

void decode(benchmark::State& state, const Bench& bench) {
  AttentionCase problem = problem_of(bench);
  const auto layer_bytes = static_cast<std::int64_t>(problem.codes.bytes());
  std::vector<Layer> layers;
  layers.reserve(static_cast<std::size_t>(kDecodeBytes / layer_bytes));
  for (std::int64_t bytes = layer_bytes; bytes < kDecodeBytes; bytes += layer_bytes) {
    layers.emplace_back(problem);
  }
  time_variant(state, bench, problem, layers);
}

constexpr const char* kFormatNames[] = {"f32", "bf16", "fp16", "int8"};

void add(const std::string& what, void (*body)(benchmark::State&, const Bench&),
         const Bench& bench) {
  const std::string name = fmt::format("{}/{}/{}/{}:{}{}", bench.variant->name, what,
                                       kFormatNames[static_cast<std::size_t>(bench.format)],
                                       what == "decode" ? "keys" : "tokens", bench.k_len,
                                       bench.shuffled ? "" : "/contiguous");
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) { body(state, bench); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

struct Arithmetic {
  KvFormat format;
  Compute compute;
};
constexpr Arithmetic kArithmetics[] = {{KvFormat::f32, Compute::exact},
                                       {KvFormat::bf16, Compute::exact},
                                       {KvFormat::bf16, Compute::fast},
                                       {KvFormat::fp16, Compute::exact},
                                       {KvFormat::int8, Compute::exact}};

/// What `variant` is for: bf16 dot products for a bf16 cache and fast, the others for the rest.
bool measured(const Variant& variant, const Arithmetic& arithmetic) {
  if (variant.run == attention_ref || variant.name == "attention_eager_scalar") return false;
  const bool bf16 = variant.name.find("bf16") != std::string_view::npos;
  return bf16 == (arithmetic.compute == Compute::fast);
}

bool register_all() {
  for (const Arithmetic& arithmetic : kArithmetics) {
    const auto [format, compute] = arithmetic;
    for (const auto list : {attention_eager_variants(), attention_flash_variants()}) {
      for (const Variant& variant : list) {
        if (!measured(variant, arithmetic)) continue;
        for (const std::int64_t tokens : kPrefillTokens) {
          add("prefill", prefill, {&variant, tokens, tokens, format, compute});
        }
      }
    }
    for (const auto list : {attention_eager_variants(), attention_decode_variants()}) {
      for (const Variant& variant : list) {
        if (!measured(variant, arithmetic)) continue;
        for (const std::int64_t keys : {16, 128, 1024, 8192}) {
          add("decode", decode, {&variant, 1, keys, format, compute});
        }
        add("decode", decode, {&variant, 1, 8192, format, compute, false});
      }
    }
  }
  return true;
}

const bool kRegistered = register_all();

}  // namespace
}  // namespace plimsoll::kernels
