// The answer first: what to run, how sure that is, and what would change it.
import * as format from "../data/format";
import { neededBytes, overrules, variantNamed, workingBytes } from "../data/variants";
import { el, type Child } from "../dom";
import type { Page } from "../page";
import type { Comparison, Interval, Recommendation, Results, Variant } from "../results";

function tile(value: string, label: string, remark: Child): HTMLElement {
  return el("div", { class: "tile" }, el("div", { class: "big" }, value), el("div", {}, label), el("div", { class: "remark" }, remark));
}

/** "1.84× the speed of bf16+eager" in words; a difference inside the noise is called none. */
function speedTile(variant: Variant, comparison: Comparison, { baseline, noise }: Results): HTMLElement {
  const decode = variant.latency?.decode_tokens_per_second;
  const rate = decode ? ` (${format.number(decode.median)} tokens/s)` : "";
  const floor = noise?.floor_decode;
  const between = `95 % interval ${format.range(comparison.low, comparison.high, format.number)}` +
    (overrules(floor, comparison) ? `, inside the noise floor of ${format.percent(floor, 2)}` : "");
  return comparison.verdict === "no difference"
    ? tile("no difference", `in decoding speed to ${baseline}${rate}`, `ratio ${format.number(comparison.ratio)}, ${between}`)
    : tile(format.times(comparison.ratio), `the decoding speed of ${baseline}${rate}`, between);
}

function tiles(page: Page, variant: Variant): HTMLElement {
  const { results } = page;
  const reference = variantNamed(results, results.reference);
  const shown: HTMLElement[] = [];
  const speed = variant.versus_baseline?.decode;
  if (speed && variant.name !== results.baseline) shown.push(speedTile(variant, speed, results));
  else if (variant.latency) {
    shown.push(tile(`${format.number(variant.latency.decode_tokens_per_second.median)} tok/s`, "decoding speed, one sequence", "the baseline that others are compared with"));
  }
  const { quality } = variant;
  if (quality && variant.name === results.reference) {
    shown.push(tile(format.number(quality.ppl, 4), "perplexity", "the reference that others are judged against"));
  } else if (quality?.ppl_ratio) {
    const { value, low, high } = quality.ppl_ratio;
    shown.push(tile(format.fixed(value, 4), `times the perplexity of ${results.reference}`, `95 % interval ${format.range(low, high, (v) => format.fixed(v, 4))}`));
  }
  const memory = workingBytes(variant);
  if (memory !== null) {
    const whole = reference?.status === "measured" && variant.name !== reference.name ? workingBytes(reference) : null;
    shown.push(tile(format.bytes(memory), "weights, KV cache and workspace",
      whole ? `${format.percent(memory / whole, 2)} of ${results.reference}'s` : `peak ${format.bytes(neededBytes(variant))}`));
  }
  if (variant.latency) {
    const { median, low, high } = variant.latency.ttft_seconds;
    shown.push(tile(format.seconds(median), "to the first token", `95 % interval ${format.range(low, high, format.seconds)}`));
  }
  return el("div", { class: "tiles" }, ...shown);
}

/** A figure by what its metric is called: bytes and seconds get units that a person reads. */
function inUnits(metric: string, { value, low, high }: Interval): string {
  const write = /^bytes\b/.test(metric) ? format.bytes : /\bseconds\b/.test(metric) ? format.seconds : null;
  if (write === null) return format.interval(value, low, high);
  return low === null || high === null || low === high ? write(value) : `${write(value)} [${write(low)}, ${write(high)}]`;
}

function card(page: Page, recommendation: Recommendation): HTMLElement {
  const { variant, title, metric, figure, confidence, reason, runner_up: runnerUp, would_change: wouldChange } = recommendation;
  return el(
    "article",
    { class: "card" },
    el("h3", {}, title),
    el("p", { class: "choice-made" }, variant ? page.badge(variant) : "No variant can be recommended"),
    figure && el("p", { class: "figure" }, el("strong", {}, `${inUnits(metric, figure)} `), metric),
    el("p", {}, format.sentence(reason)),
    el(
      "dl",
      {},
      el("dt", {}, "How sure"), el("dd", {}, format.sentence(confidence)),
      runnerUp && el("dt", {}, "Runner-up"), runnerUp && el("dd", {}, page.badge(runnerUp)),
      wouldChange?.length > 0 && el("dt", {}, "What would change it"),
      wouldChange?.length > 0 && el("dd", {}, el("ul", {}, ...wouldChange.map((text) => el("li", {}, format.sentence(text))))),
    ),
  );
}

export function summary(page: Page): HTMLElement {
  const { results } = page;
  const best = variantNamed(results, results.recommended);
  const measured = results.variants.filter((variant) => variant.status === "measured").length;
  return el(
    "section",
    { id: "summary" },
    el(
      "div",
      { class: "answer" },
      el("p", { class: "lead" }, best ? "Recommended for one user at a time" : "No recommendation"),
      el("h2", {}, best ? page.badge(best.name) : measured === 0 ? "No variant was measured yet" : "No variant passes the limits of this study"),
      best && tiles(page, best),
    ),
    results.recommendations.length > 0 && el("div", { class: "cards" }, ...results.recommendations.map((one) => card(page, one))),
  );
}

const kinds: Record<string, string> = {
  beats_reference: "Better than its reference",
  loss: "Loss of quality",
  may_exceed: "May exceed the budget",
  not_judged: "Quality not known",
  slow_path: "Slow path",
  cached: "Held by the caches",
  noisy: "Noisy machine",
  drift: "Drift",
  reference: "Quantised reference",
  one_after_another: "Timed one after another",
  one_repeat: "One repeat",
  failed: "Failed",
};

/** Nothing where there is nothing to warn of. */
export function warnings(page: Page): HTMLElement | null {
  const { results } = page;
  const entries = results.warnings.map(({ kind, variant, text }) => ({ heading: kinds[kind] ?? kind.replaceAll("_", " "), variant, text }));
  if (entries.length === 0) return null;
  return el(
    "section",
    { id: "warnings" },
    el("h2", {}, "Warnings"),
    el(
      "ul",
      { class: "warnings" },
      ...entries.map(({ heading, variant, text }) =>
        el("li", {}, el("span", { class: "kind" }, heading), variant && page.badge(variant), el("span", {}, format.sentence(text))),
      ),
    ),
  );
}
