#include "model/numerics.h"

namespace plimsoll {

namespace {

Support keeps_order(const quant::Matrix& matrix) {
  if (matrix.outliers_by_batch) return Support::no("--outlier-scope batch");
  if (matrix.layout != quant::Layout::panels) return Support::no("weights as stored");
  return Support::yes();
}

Support keeps_order(const ops::Linear& layer) {
  if (Support support = keeps_order(layer.weight); !support) return support;
  return layer.adapters.empty() ? Support::yes() : Support::no("adapters beside it");
}

Support attention_keeps_order(const Model& model, const ops::Context& context) {
  if (context.attention == ops::Attention::eager) return Support::no("--attention eager");
  kernels::AttentionArgs args;
  args.q_len = args.kv.length = 1;
  args.heads = model.config().heads;
  args.kv.layout = model.kv_shape(context.kv).layout();
  args.compute = context.compute;
  const ops::AttentionChoice choice = ops::choose_attention(context, args);
  const std::string_view name = choice.variant->name;
  if (name.starts_with("attention_flash") || name.starts_with("attention_decode")) {
    return Support::yes();
  }
  return Support::no(fmt::format("{} runs ({})", name, choice.reason));
}

}  // namespace

Support invariant_is_free(Model& model, const ops::Context& context) {
  if (context.device != nullptr) {
    return Support::no("on a GPU products of many rows round otherwise than those of few");
  }
  ops::Context fast = context;
  fast.numerics = ops::Numerics::fast;
  Support result = attention_keeps_order(model, fast);
  model.visit_linears([&](ops::Linear& layer) {
    if (!result) return;
    if (const Support support = keeps_order(layer); !support) {
      result = Support::no(fmt::format("{}: {}", layer.name, support.reason));
    }
  });
  return result;
}

ops::Context settled(const ops::Context& context, Model& model) {
  if (!context.numerics_auto) return context;
  const Support is_free = invariant_is_free(model, context);
  ops::Context result = context;
  result.numerics_auto = false;
  result.numerics = is_free ? ops::Numerics::invariant : ops::Numerics::fast;
  if (context.explain != nullptr) {
    (*context.explain)(is_free
                           ? "numerics: invariant (the kernels that run anyway keep the promise)"
                           : fmt::format("numerics: fast ({})", is_free.reason));
  }
  return result;
}

}  // namespace plimsoll
