// The fields of results.json, struct by struct: a Writer or a Reader (results_json.cc) goes through
// them.
#pragma once

#include <concepts>
#include <type_traits>

#include "study/results.h"

namespace plimsoll::study {

template <class T, class Struct>
concept Is = std::same_as<std::remove_const_t<T>, Struct>;

template <class F, Is<ModelFacts> T>
void fields(F& f, T& v) {
  f("path", v.path), f("name", v.name), f("architecture", v.architecture);
  f("parameters", v.parameters), f("shape_only", v.shape_only), f("stored_dtype", v.stored_dtype);
  f("weights_sha256", v.weights_sha256), f("tokenizer_sha256", v.tokenizer_sha256);
  f("layers", v.layers), f("hidden_size", v.hidden_size), f("vocab_size", v.vocab_size);
  f("context_length", v.context_length), f("sliding_window", v.sliding_window);
}
template <class F, Is<TextFacts> T>
void fields(F& f, T& v) {
  f("source", v.source), f("sha256", v.sha256), f("bytes", v.bytes), f("tokens", v.tokens);
}
template <class F, Is<CalibrationFacts> T>
void fields(F& f, T& v) {
  f("source", v.source), f("sha256", v.sha256), f("windows", v.windows);
  f("window_tokens", v.window_tokens), f("seed", v.seed);
}
template <class F, Is<MachineFacts> T>
void fields(F& f, T& v) {
  f("cpu", v.cpu), f("isa", v.isa), f("threads", v.threads), f("cores", v.cores);
  f("memory_bytes", v.memory_bytes), f("os", v.os), f("device", v.device), f("gpu", v.gpu);
}
template <class F, Is<CeilingFacts> T>
void fields(F& f, T& v) {
  f("read_gbps", v.read_gbps), f("fp32_gops", v.fp32_gops), f("bf16_gops", v.bf16_gops);
  f("fp16_gops", v.fp16_gops), f("int8_gops", v.int8_gops), f("detail", v.detail);
}
template <class F, Is<Flags> T>
void fields(F& f, T& v) {
  f("compute", v.compute), f("numerics", v.numerics), f("kv", v.kv);
  f("prefill_chunk", v.prefill_chunk), f("repeats", v.repeats);
  f("prefill_tokens", v.prefill_tokens), f("new_tokens", v.new_tokens);
  f("decode_prompt", v.decode_prompt), f("sample_prompts", v.sample_prompts);
  f("max_ppl_ratio", v.max_ppl_ratio), f("memory_limit_bytes", v.memory_limit_bytes);
  f("price_per_hour", v.price_per_hour), f("adapters", v.adapters);
}
template <class F, Is<RunFacts> T>
void fields(F& f, T& v) {
  f("plimsoll_version", v.plimsoll_version), f("build_commit", v.build_commit);
  f("command", v.command), f("started", v.started), f("finished", v.finished);
  f("seconds", v.seconds), f("complete", v.complete), f("mode", v.mode), f("model", v.model);
  f("text", v.text), f("calibration", v.calibration), f("machine", v.machine),
      f("ceilings", v.ceilings), f("flags", v.flags);
  f("versions", v.versions);
}
template <class F, Is<MemoryFacts> T>
void fields(F& f, T& v) {
  f("weights_bytes", v.weights_bytes), f("kv_bytes", v.kv_bytes);
  f("workspace_bytes", v.workspace_bytes), f("peak_bytes", v.peak_bytes);
  f("needed_bytes", v.needed_bytes);
}
template <class F, Is<Latency> T>
void fields(F& f, T& v) {
  f("repeats", v.repeats), f("turns", v.turns), f("end_to_end_seconds", v.end_to_end_seconds);
  f("ttft_seconds", v.ttft_seconds), f("tpot_seconds", v.tpot_seconds);
  f("prefill_tokens_per_second", v.prefill_tokens_per_second);
  f("decode_tokens_per_second", v.decode_tokens_per_second);
}
template <class F, Is<CeilingShares> T>
void fields(F& f, T& v) {
  f("prefill", v.prefill), f("decode", v.decode);
}
template <class F, Is<Versus> T>
void fields(F& f, T& v) {
  f("ratio", v.ratio), f("low", v.low), f("high", v.high), f("verdict", v.verdict);
}
template <class F, Is<VersusBaseline> T>
void fields(F& f, T& v) {
  f("end_to_end", v.end_to_end), f("prefill", v.prefill), f("decode", v.decode);
}
template <class F, Is<QualityFacts> T>
void fields(F& f, T& v) {
  f("protocol", v.protocol), f("window", v.window), f("stride", v.stride);
  f("tokens_scored", v.tokens_scored), f("nll", v.nll), f("ppl", v.ppl);
  f("ppl_stderr", v.ppl_stderr), f("ppl_ratio", v.ppl_ratio), f("kl_mean", v.kl_mean);
  f("kl_percentiles", v.kl_percentiles), f("same_top", v.same_top), f("compute", v.compute);
}
template <class F, Is<Sample> T>
void fields(F& f, T& v) {
  f("prompt", v.prompt), f("text", v.text), f("tokens", v.tokens), f("distinct_1", v.distinct_1);
  f("distinct_2", v.distinct_2), f("repetition", v.repetition);
}
template <class F, Is<Cost> T>
void fields(F& f, T& v) {
  f("per_million_tokens", v.per_million_tokens), f("reason", v.reason);
}
template <class F, Is<EnergyFacts> T>
void fields(F& f, T& v) {
  f("joules_per_token", v.joules_per_token), f("source", v.source), f("reason", v.reason);
}
template <class F, Is<VariantResult> T>
void fields(F& f, T& v) {
  f("name", v.name), f("weights", v.weights), f("attention", v.attention), f("kv", v.kv);
  f("device", v.device), f("numerics", v.numerics), f("status", v.status), f("reason", v.reason);
  f("memory", v.memory);
  f("latency", v.latency), f("share_of_ceiling", v.share_of_ceiling);
  f("versus_baseline", v.versus_baseline), f("quality", v.quality);
  f("quality_reason", v.quality_reason), f("samples", v.samples), f("profile", v.profile);
  f("cost", v.cost), f("energy", v.energy), f("slow_paths", v.slow_paths);
}
template <class F, Is<Drift> T>
void fields(F& f, T& v) {
  f("decode", v.decode), f("prefill", v.prefill), f("noticed", v.noticed);
}
template <class F, Is<Noise> T>
void fields(F& f, T& v) {
  f("variant", v.variant), f("decode", v.decode), f("prefill", v.prefill);
  f("floor_decode", v.floor_decode), f("floor_prefill", v.floor_prefill), f("drift", v.drift);
  f("noisy", v.noisy), f("decode_tokens_per_second", v.decode_tokens_per_second);
  f("prefill_tokens_per_second", v.prefill_tokens_per_second);
}
template <class F, Is<Recommendation> T>
void fields(F& f, T& v) {
  f("workload", v.workload), f("title", v.title), f("variant", v.variant), f("metric", v.metric);
  f("figure", v.figure), f("confidence", v.confidence), f("reason", v.reason);
  f("runner_up", v.runner_up), f("would_change", v.would_change);
}
template <class F, Is<Warning> T>
void fields(F& f, T& v) {
  f("kind", v.kind), f("variant", v.variant), f("text", v.text);
}
template <class F, Is<Imported> T>
void fields(F& f, T& v) {
  f("source", v.source), f("engine", v.engine), f("label", v.label), f("test", v.test);
  f("tokens_per_second", v.tokens_per_second);
}
template <class F, Is<SweepPoint> T>
void fields(F& f, T& v) {
  f("variant", v.variant), f("value", v.value), f("turns", v.turns);
  f("tokens_per_second", v.tokens_per_second);
}
template <class F, Is<Crossover> T>
void fields(F& f, T& v) {
  f("sweep", v.sweep), f("faster", v.faster), f("slower", v.slower), f("at", v.at);
  f("text", v.text);
}
template <class F, Is<Sweeps> T>
void fields(F& f, T& v) {
  f("complete", v.complete), f("batch", v.batch), f("prompt", v.prompt), f("depth", v.depth);
  f("crossovers", v.crossovers), f("skipped", v.skipped);
}
template <class F, Is<Results> T>
void fields(F& f, T& v) {
  f("run", v.run), f("reference", v.reference), f("baseline", v.baseline);
  f("variants", v.variants), f("noise", v.noise), f("sweeps", v.sweeps);
  f("recommendations", v.recommendations), f("recommended", v.recommended);
  f("warnings", v.warnings), f("imported", v.imported), f("numerics_cost", v.numerics_cost);
  f("adaptation", v.adaptation);
}

// Sampled and Estimate have their interval as two fields: null where it is unknown.
template <class F, Is<Sampled> T>
void plain_fields(F& f, T& v) {
  f("median", v.median), f("mean", v.mean), f("stddev", v.stddev), f("samples", v.samples);
}
template <class F, Is<Estimate> T>
void plain_fields(F& f, T& v) {
  f("value", v.value);
}
template <class T>
concept HasInterval = Is<T, Sampled> || Is<T, Estimate>;

}  // namespace plimsoll::study
