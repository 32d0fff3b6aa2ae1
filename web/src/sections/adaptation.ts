// The winner after fine-tuning: the curve, before and after.
import { barChart } from "../charts/bars";
import { figure, fontSize, tooltip, valueAxis, type Drawing } from "../charts/figure";
import * as format from "../data/format";
import { el } from "../dom";
import type { Page } from "../page";
import type { Adaptation, TrainingRow } from "../results";

type Logged = TrainingRow & { loss: number };
type Evaluated = TrainingRow & { eval_nll: number };

function curve(page: Page, adaptation: Adaptation, width: number): Drawing | string {
  const steps = adaptation.metrics.filter((row): row is Logged => typeof row.loss === "number");
  const evaluated = adaptation.metrics.filter((row): row is Evaluated => typeof row.eval_nll === "number");
  if (steps.length === 0 && evaluated.length === 0) return "Left out: no step was logged.";
  const { ink, soft, accent, warn, background } = page.theme;
  return {
    height: 300,
    summary: `Training loss over ${steps.length} logged steps, from ${format.number(steps[0]?.loss)} to ${format.number(steps.at(-1)?.loss)}.`,
    table: {
      columns: ["step", "training loss", "held-out loss", "held-out perplexity", "learning rate"],
      rows: adaptation.metrics.map((row) => [format.integer(row.step), format.number(row.loss, 4), format.number(row.eval_nll, 4), format.number(row.eval_ppl, 4), format.number(row.lr)]),
    },
    option: {
      legend: { top: 0, left: 0, textStyle: { color: ink, fontSize }, selectedMode: false },
      grid: { left: 58, right: 20, top: 54, bottom: 48 },
      xAxis: valueAxis(page, "step", { min: 0, max: "dataMax", splitNumber: width < 440 ? 3 : 6, splitLine: { show: false } }),
      yAxis: valueAxis(page, "loss, nats a token", { scale: true, nameLocation: "end", nameGap: 6, nameTextStyle: { color: soft, fontSize, align: "left", padding: [0, 0, 0, -40] }, axisLabel: { color: soft, fontSize, formatter: (v: number) => format.number(v) } }),
      tooltip: tooltip(page, ({ seriesName, value }) => {
        const [step, loss] = value as [number, number];
        return [`Step ${format.integer(step)}`, `${seriesName}: ${format.number(loss, 4)} nats a token`];
      }),
      series: [
        { id: "loss", name: "training loss", type: "line", symbolSize: 5, showAllSymbol: true, itemStyle: { color: accent }, lineStyle: { color: accent, width: 2 }, data: steps.map((row) => [row.step, row.loss]) },
        { id: "held-out", name: "held-out loss", type: "line", symbol: "diamond", symbolSize: 12, itemStyle: { color: background, borderColor: warn, borderWidth: 2 }, lineStyle: { color: warn, width: 1.5, type: "dashed" }, data: evaluated.map((row) => [row.step, row.eval_nll]) },
      ],
    },
  };
}

export function adaptation(page: Page): HTMLElement | null {
  const found = page.results.adaptation;
  if (!found) return null;
  const sample = (title: string, text: string) => el("article", { class: "card" }, el("h3", {}, title), el("blockquote", {}, text || "(nothing)"));
  return el(
    "section",
    { id: "adaptation" },
    el("h2", {}, "Fine-tuning"),
    el("p", { class: "explain" }, `${found.weights} weights with a LoRA adapter, trained on this study's text for ${format.seconds(found.seconds)} and judged on its held-out end.`),
    el(
      "div",
      { class: "pair" },
      figure(page, {
        id: "training", title: "Training", caption: "Mean loss of the tokens of a step, and of the held-out text. The loss axis is fitted to the curve.",
        draw: (width) => curve(page, found, width),
      }),
      figure(page, {
        id: "before-after", title: "Before and after", caption: "Perplexity of the held-out end of the text, from zero. Less is better.",
        draw: (width) => barChart(page, {
          width, axis: "perplexity, less is better", write: (value) => format.number(value, 4),
          bars: [["before", found.ppl_before], ["after", found.ppl_after]].map(([name, value]) => ({ name: name as string, value: value as number, low: null, high: null, foreign: true })),
          summary: `Perplexity ${format.number(found.ppl_before, 4)} before, ${format.number(found.ppl_after, 4)} after.`,
          notes: ["The study measures both once: no interval is known."],
        }),
      }),
    ),
    el("div", { class: "cards" }, sample("A sample before", found.sample_before), sample("And after", found.sample_after)),
  );
}
