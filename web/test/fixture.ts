// Results made up for the tests, after docs/results-schema.md. None of these figures was measured.
import type { Interval, Kernel, Results, Sampled, Variant } from "../src/results";

/** Samples spread evenly by `spread` around `median`. */
function sampled(median: number, spread = 0.01): Sampled {
  const samples = [0.3, -1, 0.7, -0.4, 1, 0, -0.7].map((step) => median * (1 + step * spread));
  return { median, mean: median * (1 - 0.014 * spread), stddev: median * spread * 0.7, low: median * (1 - 0.7 * spread), high: median * (1 + 0.7 * spread), samples };
}

function interval(value: number, width: number): Interval {
  return { value, low: value - width, high: value + width };
}

interface Made {
  weights: string;
  attention: string;
  bytes: number;
  decode: number;
  prefill: number;
  loss: number;
}

const promptTokens = 512;
const newTokens = 100;

function kernels(made: Made): Kernel[] {
  const wall = newTokens / made.decode;
  const parts: [string, string, number, number, number][] = [
    [`gemm_${made.weights.replace("-", "_")}_avx512`, "mlp", 0.52, made.bytes * 0.6, 2],
    [`gemm_${made.weights.replace("-", "_")}_qkv_avx512`, "attention", 0.16, made.bytes * 0.2, 2],
    [made.attention === "eager" ? "attention_eager" : "attention_flash_avx512", "attention", made.attention === "eager" ? 0.14 : 0.06, 2e6, 1],
    ["gemm_bf16_head", "head", 0.12, 1.6e7, 1],
    ["rms_norm_avx512", "norm", 0.03, 4e5, 0.75],
    ["rope", "attention", 0.01, 2e5, 1.5],
    ["silu_mul", "mlp", 0.015, 3e5, 2.5],
    ["sample", "sampling", 0.006, 1e5, 0.25],
  ];
  return parts.map(([name, part, share, bytes, intensity]) => {
    const seconds = wall * share;
    const calls = newTokens * 8;
    const all = bytes * newTokens;
    const operations = all * intensity;
    return {
      name, part, calls, seconds, mean_seconds: seconds / calls, share, bytes: all, operations,
      gbps: all / seconds / 1e9, gops: operations / seconds / 1e9, share_of_ceiling: all / seconds / 1e9 / 62, bound: "bandwidth",
    };
  });
}

const prompts = ["Explain quantum computing:", "The captain looked at the load line and"];

function variant(made: Made): Variant {
  const name = `${made.weights}+${made.attention}`;
  const list = kernels(made);
  const wall = newTokens / made.decode;
  const parts = new Map<string, number>();
  for (const kernel of list) parts.set(kernel.part, (parts.get(kernel.part) ?? 0) + kernel.seconds);
  const exact = made.loss === 0;
  const versus = (ratio: number) => ({
    ...{ ratio, low: ratio * 0.985, high: ratio * 1.015 },
    verdict: ratio > 1.015 ? ("faster" as const) : ratio < 0.985 ? ("slower" as const) : ("no difference" as const),
  });
  const kv = 9_400_000;
  const workspace = made.attention === "eager" ? 6_300_000 : 2_100_000;
  return {
    name, weights: made.weights, attention: made.attention, kv: "bf16", device: "cpu", numerics: "invariant",
    status: "measured", reason: null,
    memory: { weights_bytes: made.bytes, kv_bytes: kv, workspace_bytes: workspace, peak_bytes: made.bytes + kv + workspace + 5_000_000, needed_bytes: made.bytes + kv + workspace },
    latency: {
      repeats: 7,
      end_to_end_seconds: sampled(promptTokens / made.prefill + wall), ttft_seconds: sampled(promptTokens / made.prefill, 0.03), tpot_seconds: sampled(1 / made.decode),
      prefill_tokens_per_second: sampled(made.prefill, 0.03), decode_tokens_per_second: sampled(made.decode, 0.012),
    },
    share_of_ceiling: { prefill: 0.62, decode: (made.decode * made.bytes) / 62e9 },
    versus_baseline: { end_to_end: versus(made.decode / 402), prefill: versus(made.prefill / 5200), decode: versus(made.decode / 402) },
    quality: {
      protocol: "blocks", window: 512, stride: 512, tokens_scored: 24_528, nll: 3.142 + made.loss * 2, ppl: Math.exp(3.142 + made.loss * 2), ppl_stderr: 0.31,
      ppl_ratio: interval(Math.exp(made.loss * 2), made.loss * 0.3), kl_mean: exact ? interval(0, 0) : interval(made.loss, made.loss * 0.08),
      kl_percentiles: { "50": made.loss * 0.5, "90": made.loss * 2.2, "95": made.loss * 3.4, "99": made.loss * 8.1, "99.9": made.loss * 22 },
      same_top: exact ? interval(1, 0) : interval(1 - made.loss * 2.4, made.loss * 0.2), compute: "fast",
    },
    quality_reason: null,
    samples: prompts.map((prompt, i) => ({
      prompt, text: i === 0 ? " the crew had gone below, and the sea ran high behind us.\n“Is she too deep?” asked the mate." : ` said nothing. It stood two inches under water with ${made.weights} in her hold.`,
      tokens: 48, distinct_1: 0.71, distinct_2: 0.93, repetition: 0.08,
    })),
    profile: {
      wall_seconds: wall, workload: `decoding ${newTokens} tokens`, kernels: list,
      parts: [...parts].map(([part, seconds]) => ({ part, seconds, share: seconds / wall })), trace_file: `traces/${name}.json`,
    },
    cost: { per_million_tokens: (0.4 / 3600 / made.decode) * 1e6, reason: null },
    energy: { joules_per_token: null, source: null, reason: "RAPL cannot be read without root" },
    slow_paths: [],
  };
}

const made: Made[] = [
  { weights: "bf16", attention: "eager", bytes: 60_200_000, decode: 402, prefill: 5200, loss: 0 },
  { weights: "bf16", attention: "sdpa", bytes: 60_200_000, decode: 431, prefill: 7900, loss: 0 },
  { weights: "int8", attention: "eager", bytes: 34_700_000, decode: 668, prefill: 6100, loss: 0.0011 },
  { weights: "int8", attention: "sdpa", bytes: 34_700_000, decode: 741, prefill: 9400, loss: 0.0011 },
  { weights: "nf4-dq", attention: "eager", bytes: 20_900_000, decode: 655, prefill: 5400, loss: 0.021 },
  { weights: "nf4-dq", attention: "sdpa", bytes: 20_900_000, decode: 820, prefill: 8100, loss: 0.021 },
];

/** Everything that a study can say. */
export function full(): Results {
  const variants = made.map(variant);
  variants[1]!.slow_paths = ["attention_flash_avx512: fp32 products, because this processor has no AVX512_BF16"];
  variants.push({
    ...variant({ weights: "fp32", attention: "sdpa", bytes: 120_400_000, decode: 210, prefill: 4000, loss: 0 }),
    status: "does_not_fit", reason: "needs 132 MB, and the limit is 100 MB", latency: null, versus_baseline: null, quality: null,
    quality_reason: "does not fit", samples: [], profile: null, share_of_ceiling: null, cost: null, energy: null,
  });
  const swept = ["bf16+sdpa", "int8+sdpa", "nf4-dq+sdpa"];
  const sweep = (values: number[], rate: (name: string, value: number) => number) =>
    swept.flatMap((name) => values.map((value) => ({ variant: name, value, tokens_per_second: sampled(rate(name, value), 0.02) })));
  const first: Record<string, number> = { "bf16+sdpa": 431, "int8+sdpa": 741, "nf4-dq+sdpa": 820 };
  const ceilingOf: Record<string, number> = { "bf16+sdpa": 5200, "int8+sdpa": 6800, "nf4-dq+sdpa": 4300 };
  return {
    schema: "plimsoll.study", schema_version: 1,
    run: {
      plimsoll_version: "0.1.0", build_commit: "fixture00", command: ["study", "models/demo", "--full", "--sample-prompt", "The captain's"],
      started: "2026-11-21T15:00:00Z", finished: "2026-11-21T15:04:10Z", seconds: 250, complete: true, mode: "full",
      model: {
        path: "models/demo", name: "fixture, not measured", architecture: "llama", parameters: 30_100_000, shape_only: false, stored_dtype: "bf16",
        weights_sha256: "5f".repeat(32), tokenizer_sha256: "a1".repeat(32), layers: 8, hidden_size: 512, vocab_size: 16_000, context_length: 2048, sliding_window: null,
      },
      text: { source: "the built-in sea story, its evaluation part", sha256: "0c".repeat(32), bytes: 104_333, tokens: 25_020 },
      calibration: { source: "the first chapters of the sea story built in", sha256: "0d".repeat(32), windows: 128, window_tokens: 512, seed: 0 },
      machine: { cpu: "Fixture CPU 9000", isa: "avx512", threads: 2, cores: 2, memory_bytes: 24e9, os: "Linux 6.1", device: "cpu", gpu: null },
      ceilings: { read_gbps: 62.1, fp32_gops: 402, bf16_gops: 795, int8_gops: 1580 },
      flags: {
        compute: "fast", numerics: "fast", kv: "bf16", prefill_chunk: 512, repeats: 7, prefill_tokens: promptTokens, new_tokens: newTokens, decode_prompt: prompts[0],
        sample_prompts: prompts, max_ppl_ratio: 1.05, memory_limit_bytes: 100e6, price_per_hour: 0.4,
      },
      versions: { compiler: "gcc 12.2", onednn: "2.6" },
    },
    reference: "bf16+sdpa", baseline: "bf16+eager", variants,
    numerics_cost: { variant: "bf16+sdpa", prefill: 0.021, prefill_low: 0.017, prefill_high: 0.026, decode: -0.004, decode_low: -0.009, decode_high: -0.001 },
    noise: {
      variant: "bf16+sdpa", decode: interval(1.002, 0.006), prefill: interval(0.998, 0.014), floor_decode: 0.008, floor_prefill: 0.016,
      drift: { decode: interval(0.001, 0.003), prefill: interval(-0.002, 0.004), noticed: false }, noisy: false,
    },
    sweeps: {
      batch: sweep([1, 4, 8, 16, 32], (name, value) => 1 / (1 / (first[name]! * value) + 1 / ceilingOf[name]!)),
      prompt: sweep([128, 512, 1024, 2048], (name, value) => ceilingOf[name]! * (1 - value / 9000)),
      depth: sweep([0, 512, 1024, 1900], (name, value) => first[name]! / (1 + value / 2400)),
      crossovers: [
        { sweep: "batch", faster: "int8+sdpa", slower: "nf4-dq+sdpa", at: 4, text: "From batch 4 on, int8+sdpa decodes faster than nf4-dq+sdpa: the batch is bound by arithmetic, not by bytes." },
        { sweep: "depth", faster: "int8+sdpa", slower: "nf4-dq+sdpa", at: null, text: "int8+sdpa does not overtake nf4-dq+sdpa at any measured depth." },
      ],
      skipped: ["depth 4096: the model has 2048 positions"],
    },
    recommendations: [
      {
        workload: "chat", title: "Single-user chat", variant: "int8+sdpa", metric: "tokens/s decoding, batch 1", figure: interval(741, 6), confidence: "Clear: its interval lies apart from the runner-up's, and the noise floor is 0.8 %.",
        reason: "The fastest whose perplexity stays within the budget at batch 1.", runner_up: "nf4-dq+sdpa", would_change: ["a perplexity budget of 1.05 or more measured on another text", "a memory limit below 46 MB"],
      },
      { workload: "batch", title: "Batch processing", variant: "int8+sdpa", metric: "tokens/s, batch 32", figure: interval(5280, 60), confidence: "Clear.", reason: "Highest throughput from batch 4 on.", runner_up: "bf16+sdpa", would_change: ["contexts over 2048 tokens"] },
      { workload: "edge", title: "Edge device", variant: "nf4-dq+sdpa", metric: "MB of memory", figure: interval(32.4, 0), confidence: "Certain: bytes are counted.", reason: "The smallest whose quality passes.", runner_up: "int8+sdpa", would_change: ["--max-ppl-ratio below 1.043"] },
      { workload: "realtime", title: "Real-time API", variant: null, metric: "", figure: null, confidence: "None.", reason: "Tail latency under load needs the sweeps of --full with more repeats.", runner_up: null, would_change: [] },
    ],
    recommended: "int8+sdpa",
    warnings: [
      { kind: "loss", variant: "nf4-dq+sdpa", text: "Perplexity is 4.3 % above the reference's: gptq or calibration may win it back." },
      { kind: "slow_path", variant: "bf16+sdpa", text: "attention_flash_avx512 multiplied in fp32, because this processor has no AVX512_BF16." },
    ],
    imported: [
      { source: "llama-bench.json", engine: "llama.cpp", label: "Q8_0", test: "pp512", tokens_per_second: sampled(8800, 0.02) },
      { source: "llama-bench.json", engine: "llama.cpp", label: "Q8_0", test: "tg128", tokens_per_second: sampled(702, 0.02) },
    ],
    adaptation: {
      weights: "int8", ppl_before: 23.4, ppl_after: 17.9, sample_before: "The sea was the sea was the sea.", sample_after: "The sea ran high, and the mate looked aft.", seconds: 41,
      metrics: [
        { step: 0, eval_nll: 3.153, eval_ppl: 23.4 },
        ...Array.from({ length: 10 }, (_, i) => ({ step: 5 * (i + 1), loss: 3.1 - 0.25 * Math.sqrt((i + 1) / 10) + (i % 2) * 0.03, lr: 2e-4, tokens_per_second: 900 })),
        { step: 50, eval_nll: 2.885, eval_ppl: 17.9 },
      ],
    },
  };
}

/** A study of a shape: model: random weights, so no quality and no samples. */
export function shapeOnly(): Results {
  const results = full();
  results.run.model = { ...results.run.model, name: "shape:fixture", path: "shape:fixture", shape_only: true, weights_sha256: null, tokenizer_sha256: null };
  results.run.text = null;
  for (const one of results.variants) Object.assign(one, { quality: null, quality_reason: "random weights", samples: [] });
  return { ...results, adaptation: null, warnings: [], imported: [] };
}

/** One repeat and one window: figures, and no interval of any. */
export function withoutIntervals(): Results {
  const results = full();
  const strip = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if ("low" in value && "high" in value) Object.assign(value, { low: null, high: null });
    if ("verdict" in value) Object.assign(value, { verdict: "unknown" });
    if ("samples" in value && "median" in value) Object.assign(value, { samples: [value.median] });
    for (const inner of Object.values(value)) strip(inner);
  };
  strip(results);
  return results;
}

/** The least that a study writes: stopped behind the first variant. */
export function incomplete(): Results {
  const results = full();
  const [only] = results.variants;
  Object.assign(only!, {
    versus_baseline: null, quality: null, quality_reason: "not measured yet", samples: [], profile: null, cost: null, energy: null, share_of_ceiling: null,
    memory: { weights_bytes: 60_200_000, kv_bytes: null, workspace_bytes: null, peak_bytes: null, needed_bytes: null },
  });
  return {
    ...results, run: { ...results.run, complete: false, finished: null, ceilings: null, mode: "quick" }, variants: [only!],
    noise: null, numerics_cost: null, sweeps: null, recommendations: [], recommended: null, warnings: [], imported: [], adaptation: null,
  };
}

export const attack = `</script><script>window.pwned=1</script><img src=x onerror="window.pwned=1"><!--<script> \u2028 &lt;b&gt;`;

/** Markup wherever a name or a text comes from outside. */
export function hostile(): Results {
  const results = full();
  const { model, machine } = results.run;
  Object.assign(model, { name: attack, path: attack, architecture: attack });
  machine.cpu = attack;
  results.run.command = ["study", attack];
  for (const one of results.variants) {
    for (const sample of one.samples) Object.assign(sample, { prompt: attack, text: attack });
    if (one.profile) Object.assign(one.profile.kernels[0]!, { name: attack, part: attack });
    one.quality_reason = attack;
  }
  results.warnings.push({ kind: attack, variant: attack, text: attack });
  for (const row of results.imported) row.label = attack;
  for (const one of results.recommendations) Object.assign(one, { reason: attack, title: attack });
  results.adaptation!.sample_after = attack;
  return results;
}
