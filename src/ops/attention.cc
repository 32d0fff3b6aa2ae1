#include "ops/attention.h"

#include "core/memory.h"
#include "core/trace.h"
#include "kernels/attention_decode/attention_decode.h"
#include "kernels/attention_eager/attention_eager.h"
#include "kernels/attention_flash/attention_flash.h"
#include "kv/kv_layout.h"
#include "ops/linear.h"

namespace plimsoll::ops {

namespace {

/// Bytes of one token's keys and values in a cache.
std::int64_t token_bytes(const kv::KvLayout& layout) {
  return (layout.block_bytes() +
          2 * layout.block_scales() * static_cast<std::int64_t>(sizeof(float))) /
         kv::kBlockTokens;
}

}  // namespace

void append_kv(std::span<const SequenceRows> batch, std::int64_t layer, const Tensor& keys,
               const Tensor& values) {
  for (const SequenceRows& rows : batch) {
    const kv::KvView view = rows.sequence->view(layer);
    const std::int64_t width = view.layout.kv_heads * view.layout.head_dim;
    PLIMSOLL_CHECK(keys.dim(1) == width && values.dim(1) == width);
    const trace::Scope scope("append_kv",
                             2 * rows.count * width * static_cast<std::int64_t>(sizeof(float)) +
                                 rows.count * token_bytes(view.layout),
                             0);
    kv::write_tokens(view, view.length - rows.count, rows.count,
                     keys.data<float>() + rows.begin * width,
                     values.data<float>() + rows.begin * width);
  }
}

namespace {

using kernels::AttentionArgs;
using Variant = KernelVariant<AttentionArgs>;

/// Query rows a KV head up to which threads split the keys and not the queries: one tile of
/// attention_flash, which would leave them without work.
constexpr std::int64_t kDecodeRows = 64;
/// Score matrices from which on it is worth asking how much memory is left.
constexpr std::int64_t kCheckedBytes = 64 << 20;

/// The best variant but the oracle, or null and why each refuses.
const Variant* best(std::span<const Variant> variants, const AttentionArgs& args,
                    std::string& reasons) {
  for (const Variant& variant : variants.first(variants.size() - 1)) {
    const Support support = variant.supports(args);
    if (support) return &variant;
    // The last is the one with the fewest conditions.
    reasons = std::string(variant.name) + ": " + support.reason;
  }
  return nullptr;
}

AttentionChoice choose_eager(const Context& context, const AttentionArgs& args) {
  require_any_order(context);
  return {&choose_variant(kernels::attention_eager_variants(), args), "--attention eager",
          kernels::attention_eager_bytes(args)};
}

AttentionChoice choose_sdpa(const Context& context, const AttentionArgs& args) {
  const std::int64_t rows = args.q_len * args.group();
  std::string reasons;
  if (rows <= kDecodeRows) {
    if (const Variant* variant = best(kernels::attention_decode_variants(), args, reasons)) {
      return {variant, fmt::format("{} query rows a KV head, at most {}: threads split the keys",
                                   rows, kDecodeRows)};
    }
  } else if (const Variant* variant = best(kernels::attention_flash_variants(), args, reasons)) {
    return {variant, fmt::format("{} query rows a KV head, more than {}: threads split the queries",
                                 rows, kDecodeRows)};
  }
  if (context.numerics == Numerics::invariant) {
    return {&kernels::attention_flash_variants().back(),
            reasons + "; eager has no fixed order of additions"};
  }
  return {&choose_variant(kernels::attention_eager_variants(), args), reasons,
          kernels::attention_eager_bytes(args)};
}

/// Bytes that must move, and operations, for a trace.
struct Work {
  std::int64_t bytes = 0;
  std::int64_t operations = 0;
};
Work work_of(const AttentionArgs& args) {
  const kv::KvLayout& layout = args.kv.layout;
  std::int64_t pairs = 0;  // of a query and a key that it sees
  for (std::int64_t i = 0; i < args.q_len; ++i) {
    pairs += args.visible_end(i) - args.visible_begin(i);
  }
  const std::int64_t keys = args.kv.length - args.visible_begin(0);
  const std::int64_t width = args.heads * layout.head_dim;
  return {2 * args.q_len * width * static_cast<std::int64_t>(sizeof(float)) +
              keys * token_bytes(layout),
          4 * pairs * width};
}

void require_memory_of(const AttentionArgs& args, const AttentionChoice& choice) {
  if (choice.needs_memory <= kCheckedBytes) return;
  require_memory(
      static_cast<std::uint64_t>(choice.needs_memory),
      fmt::format("eager attention of {} queries over {} keys", args.q_len, args.kv.length));
}

}  // namespace

AttentionChoice choose_attention(const Context& context, const AttentionArgs& args) {
  if (context.attention == Attention::eager) return choose_eager(context, args);
  if (context.attention == Attention::sdpa) return choose_sdpa(context, args);
  std::string reasons;
  if (const Variant* variant = best(kernels::attention_flash_variants(), args, reasons)) {
    return {variant, "--attention flash"};
  }
  throw InputError("--attention", "implementation", "flash", "eager or sdpa: " + reasons);
}

void explain_attention(const Context& context, std::int64_t queries, std::int64_t heads,
                       const kv::KvLayout& layout, std::int64_t window, std::string_view kernel,
                       std::string_view reason) {
  if (context.explain == nullptr) return;
  (*context.explain)(fmt::format(
      "attention of {} quer{}, {} heads over {} x {}, {}: {} ({})", queries,
      queries == 1 ? "y" : "ies", heads, layout.kv_heads, layout.head_dim,
      window > 0 ? fmt::format("window {}", window) : std::string("no window"), kernel, reason));
}

void require_any_order(const Context& context) {
  if (context.numerics != Numerics::invariant) return;
  throw InputError("--attention", "implementation", "eager",
                   "flash or sdpa: the library behind eager promises no order of additions, "
                   "which --numerics invariant needs");
}

void require_attention_memory(const Context& context, const AttentionArgs& args) {
  require_memory_of(args, choose_attention(context, args));
}

Tensor attention(const Context& context, std::span<const SequenceRows> batch, std::int64_t layer,
                 const Tensor& q, const AttentionSettings& settings) {
  Tensor out = Tensor::empty(DType::f32, q.shape());
  const std::int64_t width = q.dim(1);
  for (const SequenceRows& rows : batch) {
    if (rows.count == 0) continue;
    AttentionArgs args;
    args.q = q.data<float>() + rows.begin * width;
    args.q_len = rows.count;
    args.heads = settings.heads;
    args.kv = rows.sequence->view(layer);
    args.scale = settings.scale;
    args.window = settings.window.value_or(0);
    args.out = out.data<float>() + rows.begin * width;
    args.compute = context.compute;
    const kv::KvLayout& layout = args.kv.layout;
    PLIMSOLL_CHECK(width == args.heads * layout.head_dim && args.heads % layout.kv_heads == 0);
    const AttentionChoice choice = choose_attention(context, args);
    explain_attention(context, args.q_len, args.heads, layout, args.window, choice.variant->name,
                      choice.reason);
    require_memory_of(args, choice);
    const Work work = work_of(args);
    // Keys and values that are not fp32 are multiplied as dense weights of theirs would be.
    const bool wide = args.kv.layout.format == kv::KvFormat::f32;
    const trace::Scope scope(
        choice.variant->name, work.bytes, work.operations,
        unit_of(context.compute, wide ? quant::WeightFormat::fp32 : quant::WeightFormat::bf16));
    choice.variant->run(args);
  }
  return out;
}

}  // namespace plimsoll::ops
