// results.json as docs/results-schema.md defines it, version 1. null: not available.

export const SCHEMA = "plimsoll.study";
export const SCHEMA_VERSION = 1;

/** A sampled figure; low and high are the 95 % bootstrap interval of the median, null with one sample. */
export interface Sampled {
  median: number;
  mean: number;
  stddev: number;
  low: number | null;
  high: number | null;
  samples: number[];
}

/** A figure with its 95 % interval; null where it is not known. */
export interface Interval {
  value: number;
  low: number | null;
  high: number | null;
}

/** A ratio of speeds; above 1 is faster than the baseline. */
export interface Comparison {
  ratio: number;
  low: number | null;
  high: number | null;
  verdict: "faster" | "slower" | "no difference" | "unknown";
}

export interface Memory {
  weights_bytes: number | null;
  kv_bytes: number | null;
  workspace_bytes: number | null;
  peak_bytes: number | null;
  needed_bytes: number | null;
}

export interface Latency {
  repeats: number;
  end_to_end_seconds: Sampled;
  ttft_seconds: Sampled;
  tpot_seconds: Sampled;
  prefill_tokens_per_second: Sampled;
  decode_tokens_per_second: Sampled;
}

export interface Quality {
  protocol: string;
  window: number;
  stride: number | null;
  tokens_scored: number;
  nll: number;
  ppl: number;
  ppl_stderr: number;
  ppl_ratio: Interval | null;
  kl_mean: Interval | null;
  kl_percentiles: Record<string, number> | null;
  same_top: Interval | null;
  compute: string;
}

export interface TextSample {
  prompt: string;
  text: string;
  tokens: number;
  distinct_1: number | null;
  distinct_2: number | null;
  repetition: number | null;
}

export interface Kernel {
  name: string;
  part: string;
  /** Whose peak its operations are judged by: fp32, bf16, fp16, int8. */
  unit?: string;
  calls: number;
  seconds: number;
  mean_seconds: number;
  share: number;
  bytes: number | null;
  operations: number | null;
  gbps: number | null;
  gops: number | null;
  share_of_ceiling: number | null;
  bound: string | null;
}

/** How a GPU was kept busy in a run without a trace. */
export interface Timeline {
  wall_seconds: number;
  busy_seconds: number;
  launches: number;
  mean_seconds: number;
  mean_gap_seconds: number;
}

export interface Profile {
  wall_seconds: number;
  /** Whose times the kernels have: host, CUPTI, or why not CUPTI's. */
  clock?: string;
  timeline?: Timeline | null;
  workload: string;
  kernels: Kernel[];
  parts: { part: string; seconds: number; share: number }[];
  trace_file: string | null;
}

export interface Variant {
  name: string;
  weights: string;
  attention: string;
  kv: string;
  device: string;
  numerics: "fast" | "invariant" | null;
  status: "pending" | "measured" | "does_not_fit" | "failed" | "reference";
  reason: string | null;
  memory: Memory | null;
  latency: Latency | null;
  share_of_ceiling: { prefill: number | null; decode: number | null } | null;
  versus_baseline: Record<"end_to_end" | "prefill" | "decode", Comparison | null> | null;
  quality: Quality | null;
  quality_reason: string | null;
  samples: TextSample[];
  profile: Profile | null;
  cost: { per_million_tokens: number | null; reason: string | null } | null;
  energy: { joules_per_token: number | null; source: string | null; reason: string | null } | null;
  slow_paths: string[];
}

export type SweepName = "batch" | "prompt" | "depth";

export interface SweepPoint {
  variant: string;
  value: number;
  tokens_per_second: Sampled;
}

export interface Crossover {
  sweep: SweepName;
  faster: string;
  slower: string;
  at: number | null;
  text: string;
}

export interface Sweeps {
  batch: SweepPoint[];
  prompt: SweepPoint[];
  depth: SweepPoint[];
  crossovers: Crossover[];
  /** What was not measured, and why. */
  skipped?: string[];
}

export interface Recommendation {
  workload: string;
  title: string;
  variant: string | null;
  metric: string;
  figure: Interval | null;
  confidence: string;
  reason: string;
  runner_up: string | null;
  would_change: string[];
}

export interface Noise {
  variant: string;
  decode: Interval;
  prefill: Interval;
  floor_decode: number;
  floor_prefill: number;
  drift: { decode: Interval | null; prefill: Interval | null; noticed: boolean } | null;
  noisy: boolean;
}

export interface Imported {
  source: string;
  engine: string;
  label: string;
  test: string;
  tokens_per_second: Sampled;
}

/** What --numerics invariant costs a variant: shares of the time that it takes more, with their 95 % intervals. */
export interface NumericsCost {
  variant: string;
  prefill: number;
  prefill_low?: number | null;
  prefill_high?: number | null;
  decode: number;
  decode_low?: number | null;
  decode_high?: number | null;
}

/** A logged step of the training, or an evaluation (eval_nll, eval_ppl). */
export interface TrainingRow {
  step: number;
  loss?: number;
  lr?: number;
  tokens_per_second?: number;
  eval_nll?: number;
  eval_ppl?: number;
}

export interface Adaptation {
  weights: string;
  ppl_before: number;
  ppl_after: number;
  sample_before: string;
  sample_after: string;
  seconds: number;
  metrics: TrainingRow[];
}

export interface Run {
  plimsoll_version: string;
  build_commit: string;
  command: string[];
  started: string;
  finished: string | null;
  seconds: number;
  complete: boolean;
  mode: string;
  model: {
    path: string;
    name: string;
    architecture: string;
    parameters: number;
    shape_only: boolean;
    stored_dtype: string;
    weights_sha256: string | null;
    tokenizer_sha256: string | null;
    layers: number;
    hidden_size: number;
    vocab_size: number;
    context_length: number;
    sliding_window: number | null;
  };
  text: { source: string; sha256: string; bytes: number; tokens: number } | null;
  /** What gptq and int8-static have seen. */
  calibration?: { source: string; sha256: string; windows: number; window_tokens: number; seed: number } | null;
  machine: {
    cpu: string;
    isa: string;
    threads: number;
    cores: number;
    memory_bytes: number;
    os: string;
    device: string;
    gpu: string | null;
  };
  ceilings: {
    read_gbps: number | null;
    fp32_gops: number | null;
    bf16_gops: number | null;
    fp16_gops?: number | null;
    int8_gops: number | null;
    detail?: unknown;
  } | null;
  flags: Record<string, unknown>;
  versions: Record<string, string | null>;
}

export interface Results {
  schema: string;
  schema_version: number;
  run: Run;
  reference: string;
  baseline: string;
  variants: Variant[];
  noise: Noise | null;
  sweeps: Sweeps | null;
  recommendations: Recommendation[];
  recommended: string | null;
  warnings: { kind: string; variant: string | null; text: string }[];
  imported: Imported[];
  numerics_cost?: NumericsCost | null;
  adaptation: Adaptation | null;
}

/** A number among `run.flags`, which holds values of several types. */
export function numericFlag(results: Results, name: string): number | null {
  const value = results.run.flags[name];
  return typeof value === "number" ? value : null;
}

/** The results in `text`. Throws an Error with one line for a reader when they are not ours. */
export function parseResults(text: string): Results {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`This page holds no readable results: ${String(error)}`);
  }
  const { schema, schema_version: version } = (value ?? {}) as Partial<Results>;
  if (schema !== SCHEMA || version !== SCHEMA_VERSION) {
    throw new Error(
      `These results have the schema ${String(schema)}, version ${String(version)}; ` +
        `this page reads ${SCHEMA}, version ${SCHEMA_VERSION}.`,
    );
  }
  return value as Results;
}
