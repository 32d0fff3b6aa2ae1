// Speed: every figure of the latency protocol, with intervals and raw samples.
import { barChart, type Bar } from "../charts/bars";
import { figure } from "../charts/figure";
import * as format from "../data/format";
import { importedRows } from "../data/variants";
import { choice, el } from "../dom";
import type { Page } from "../page";
import type { Comparison, Latency, Sampled, Variant } from "../results";

const rate = (value: number) => format.number(value);
const metrics = {
  decode_tokens_per_second: { label: "Decode", axis: "tokens/s, more is better", write: rate, versus: "decode" },
  prefill_tokens_per_second: { label: "Prefill", axis: "tokens/s, more is better", write: rate, versus: "prefill" },
  ttft_seconds: { label: "First token", axis: "time to the first token, less is better", write: format.seconds, versus: null },
  tpot_seconds: { label: "Per token", axis: "time per output token, less is better", write: format.seconds, versus: null },
  end_to_end_seconds: { label: "End to end", axis: "whole answer, less is better", write: format.seconds, versus: "end_to_end" },
} as const;
type Metric = keyof typeof metrics;
type Scale = "zero" | "close";

function remark(comparison: Comparison | null | undefined): string | undefined {
  if (!comparison || comparison.verdict === "unknown") return undefined;
  return comparison.verdict === "no difference" ? "no difference" : format.times(comparison.ratio);
}

function bar(name: string, figure: Sampled, more: Partial<Bar> = {}): Bar {
  return { name, value: figure.median, low: figure.low, high: figure.high, samples: figure.samples, ...more };
}

/** "Two measurements of the same variant …": how much of a difference is noise. */
export function noiseNote(page: Page): string | null {
  const { noise } = page.results;
  if (!noise) return null;
  if (page.results.run.flags.repeats === 1) return "Noise: not known, because one repeat tells nothing about it.";
  const drift = noise.drift?.noticed ? " The machine drifted while it measured." : "";
  return `Noise floor, from ${noise.variant} measured twice (A/A): ${format.percent(noise.floor_decode, 2)} in decoding, ` +
    `${format.percent(noise.floor_prefill, 2)} in prefill.${drift}${noise.noisy ? " This machine was noisy: trust small differences less." : ""}`;
}

function numericsNote(page: Page): string | null {
  const cost = page.results.numerics_cost;
  if (!cost) return null;
  const { noise } = page.results;
  const part = (share: number, low: number | null | undefined, high: number | null | undefined, floor: number, where: string) => {
    if (low == null || high == null) return `unknown ${where}`;
    if ((low <= 0 && high >= 0) || Math.abs(share) <= floor) return `no measured difference ${where}`;
    const write = (value: number) => format.percent(Math.abs(value), 2) + (value < 0 ? " less" : " more");
    return `${write(share)} time ${where} (95 % interval ${write(low)} to ${write(high)})`;
  };
  const prefill = part(cost.prefill, cost.prefill_low, cost.prefill_high, noise?.floor_prefill ?? 0, "in prefill");
  const decode = part(cost.decode, cost.decode_low, cost.decode_high, noise?.floor_decode ?? 0, "in decoding");
  return `Results that do not depend on the batch (--numerics invariant) cost ${cost.variant}: ${prefill}, ${decode}.`;
}

function drawing(page: Page, metric: Metric, scale: Scale, width: number) {
  const { label, axis, write, versus } = metrics[metric];
  const timed = page.variants.filter((variant): variant is Variant & { latency: Latency } => variant.latency !== null);
  if (timed.length === 0) return "None of the chosen variants was timed.";
  const bars = timed.map((variant) =>
    bar(variant.name, variant.latency[metric], {
      remark: versus === null || variant.name === page.results.baseline ? undefined : remark(variant.versus_baseline?.[versus]),
    }),
  );
  const imported = importedRows(page.results.imported ?? []);
  for (const row of imported) {
    const other = metric === "decode_tokens_per_second" ? row.decode : metric === "prefill_tokens_per_second" ? row.prefill : null;
    if (other) bars.push(bar(row.name, other.rate, { remark: other.test, foreign: true }));
  }
  const notes = [scale === "close" ? "The axis is fitted to the samples and need not begin at zero." : null, noiseNote(page), numericsNote(page)];
  return barChart(page, {
    bars, axis, write, width, closeUp: scale === "close",
    summary: `${label}: ${bars.map((one) => `${one.name} ${write(one.value)}`).join(", ")}.`,
    notes: notes.filter((note): note is string => note !== null),
  });
}

export function latency(page: Page): HTMLElement {
  let metric: Metric = "decode_tokens_per_second";
  let scale: Scale = "zero";
  return el(
    "section",
    { id: "speed" },
    el("h2", {}, "Speed"),
    figure(page, {
      id: "latency",
      title: "Latency and throughput",
      caption:
        `Bars: medians. Whiskers: 95 % bootstrap interval of the median. Dots: every raw sample. ` +
        `The ratio behind a value is the speed against ${page.results.baseline}.`,
      controls: (redraw) => [
        choice("Figure", (Object.keys(metrics) as Metric[]).map((value) => ({ value, label: metrics[value].label })), metric, (value) => {
          metric = value;
          redraw();
        }),
        choice("Scale", [{ value: "zero" as const, label: "bars from zero" }, { value: "close" as const, label: "close-up of the samples" }], scale, (value) => {
          scale = value;
          redraw();
        }),
      ],
      draw: (width) => drawing(page, metric, scale, width),
    }),
  );
}
