// Quality against speed and against memory.
import { scatterChart, type ScatterPoint } from "../charts/scatter";
import { figure } from "../charts/figure";
import * as format from "../data/format";
import { workingBytes } from "../data/variants";
import { choice, el } from "../dom";
import type { Page } from "../page";
import { numericFlag, type Interval, type Variant } from "../results";

type Measure = "kl" | "ratio";

/** Of the reference itself both are known exactly: it is what the others are compared with. */
function loss(page: Page, variant: Variant, measure: Measure): Interval | null {
  if (!variant.quality) return null;
  const exact = measure === "kl" ? 0 : 1;
  if (variant.name === page.results.reference) return { value: exact, low: exact, high: exact };
  return measure === "kl" ? variant.quality.kl_mean : variant.quality.ppl_ratio;
}

export function withoutQuality(page: Page): string {
  const { results } = page;
  if (results.run.model.shape_only) return "Left out: the weights of a shape: model are random, so nothing is said about quality.";
  const reasons = [...new Set(results.variants.map((variant) => variant.quality_reason).filter(Boolean))];
  return `Left out: no quality was measured${reasons.length > 0 ? ` (${reasons.join("; ")})` : ""}.`;
}

function drawing(page: Page, width: number, measure: Measure, against: "speed" | "memory") {
  if (!page.results.variants.some((variant) => variant.quality)) return withoutQuality(page);
  const points: ScatterPoint[] = [];
  const without: string[] = [];
  for (const variant of page.variants) {
    const y = loss(page, variant, measure);
    const rate = variant.latency?.decode_tokens_per_second;
    const memory = workingBytes(variant);
    const x = against === "speed"
      ? rate && { value: rate.median, low: rate.low, high: rate.high }
      : memory !== null && variant.status === "measured" && { value: memory, low: memory, high: memory };
    if (x && y) points.push({ name: variant.name, x, y });
    else without.push(variant.name);
  }
  if (points.length === 0) return "None of the chosen variants has both figures.";
  const budget = numericFlag(page.results, "max_ppl_ratio");
  const notes = without.length > 0 ? [`Without both figures, and so left out: ${without.join(", ")}.`] : [];
  return scatterChart(page, {
    points,
    width,
    x: against === "speed"
      ? { axis: "decoding, tokens/s", better: "higher", write: (v: number) => format.number(v) }
      : { axis: "memory", better: "lower", write: format.bytes },
    y: measure === "kl"
      ? { axis: "mean KL, nats", better: "lower", write: (v) => format.number(v, 2), min: 0 }
      : {
          axis: "perplexity ratio", better: "lower", write: (v) => format.fixed(v, 3),
          ...(budget === null ? {} : { limit: { value: budget, name: `budget ${budget}` } }),
        },
    summary: `Quality loss against ${against} of ${points.length} variants.`,
    notes,
  });
}

export function tradeoff(page: Page): HTMLElement {
  const { reference } = page.results;
  const measures = [{ value: "kl" as const, label: "KL divergence" }, { value: "ratio" as const, label: "perplexity ratio" }];
  const one = (against: "speed" | "memory") => {
    let measure: Measure = "kl";
    return figure(page, {
      id: `quality-${against}`,
      title: against === "speed" ? "Quality against speed" : "Quality against memory",
      caption:
        `What is lost against ${reference}, and what ${against === "speed" ? "speed" : "saving"} it buys. ` +
        "Nothing beats the variants on the dashed line in both; crosses are 95 % intervals.",
      controls: (redraw) => page.results.variants.some((variant) => variant.quality)
        ? [choice("Loss", measures, measure, (value) => { measure = value; redraw(); })]
        : [],
      draw: (width) => drawing(page, width, measure, against),
    });
  };
  return el("section", { id: "tradeoff" }, el("h2", {}, "The trade-off"), el("div", { class: "pair" }, one("speed"), one("memory")));
}
