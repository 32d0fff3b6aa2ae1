// Perplexity, divergence from the reference, and where the divergence lies.
import { barChart } from "../charts/bars";
import { figure } from "../charts/figure";
import * as format from "../data/format";
import { el, table } from "../dom";
import type { Page } from "../page";
import type { Quality, Variant } from "../results";
import { withoutQuality } from "./tradeoff";

type Judged = Variant & { quality: Quality };

function judged(page: Page): Judged[] {
  return page.variants.filter((variant): variant is Judged => variant.quality !== null && variant.quality !== undefined);
}

const noneChosen = "None of the chosen variants was judged.";
const percentiles = ["50", "90", "95", "99", "99.9"];

function percentileTable(page: Page): HTMLElement {
  const place = el("div", {});
  const fill = () => {
    const rows = judged(page).filter((variant) => variant.name !== page.results.reference);
    place.replaceChildren(
      table(
        {
          columns: ["", "mean KL", ...percentiles.map((p) => `${p} %`), "same top token", "tokens"],
          rows: rows.map((variant) => [
            page.badge(variant.name), format.number(variant.quality.kl_mean?.value),
            ...percentiles.map((p) => format.number(variant.quality.kl_percentiles?.[p])),
            variant.quality.same_top
              ? `${format.percent(variant.quality.same_top.value)} (${format.range(variant.quality.same_top.low, variant.quality.same_top.high, format.percent)})`
              : "–",
            format.integer(variant.quality.tokens_scored),
          ]),
        },
        "Percentiles of the divergence",
      ),
    );
  };
  page.onChange(fill);
  fill();
  return place;
}

export function quality(page: Page): HTMLElement {
  const { results } = page;
  const section = el("section", { id: "quality" }, el("h2", {}, "Quality"));
  const first = results.variants.find((variant) => variant.quality)?.quality;
  if (!first) {
    section.append(el("p", { class: "absent" }, withoutQuality(page)));
    return section;
  }
  section.append(
    el(
      "div",
      { class: "pair" },
      figure(page, {
        id: "perplexity",
        title: "Perplexity",
        caption: `Less is better. Protocol ${first.protocol}, window ${format.integer(first.window)}, ${format.integer(first.tokens_scored)} tokens scored. Whiskers: ± 1.96 standard errors of the text, the same text for all: judge small differences by the ratio.`,
        draw: (width) => {
          const variants = judged(page);
          if (variants.length === 0) return noneChosen;
          return barChart(page, {
            width,
            axis: "perplexity, less is better",
            write: (value) => format.number(value, 4),
            bars: variants.map(({ name, quality: { ppl, ppl_stderr: error, ppl_ratio: ratio } }) => ({
              name, value: ppl, low: ppl - 1.96 * error, high: ppl + 1.96 * error,
              ...(ratio && name !== results.reference ? { remark: `${format.fixed(ratio.value, 4)}×` } : {}),
            })),
            summary: `Perplexity: ${variants.map((v) => `${v.name} ${format.number(v.quality.ppl, 4)}`).join(", ")}.`,
          });
        },
      }),
      figure(page, {
        id: "divergence",
        title: `Divergence from ${results.reference}`,
        caption: "Mean Kullback–Leibler divergence of the next-token distributions, in nats: 0 is the same model. It finds a loss that perplexity misses on a text outside the model's domain. Whiskers: 95 % interval.",
        draw: (width) => {
          const variants = judged(page).filter((variant) => variant.quality.kl_mean && variant.name !== results.reference);
          if (variants.length === 0) return "None of the chosen variants was compared with the reference.";
          return barChart(page, {
            width,
            axis: "mean KL, nats, less is better",
            write: (value) => format.number(value),
            bars: variants.map(({ name, quality: { kl_mean: kl } }) => ({ name, value: kl?.value ?? 0, low: kl?.low ?? null, high: kl?.high ?? null })),
            summary: `Mean KL divergence: ${variants.map((v) => `${v.name} ${format.number(v.quality.kl_mean?.value)}`).join(", ")}.`,
          });
        },
      }),
    ),
    el("h3", {}, "Where the divergence lies"),
    el("p", { class: "explain" }, "Percentiles over the scored positions: a small mean with a large 99.9 % means that a few tokens go badly wrong."),
    percentileTable(page),
  );
  return section;
}
