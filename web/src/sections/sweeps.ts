// Speed over batch, prompt and context, and where one variant overtakes another.
import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import type { Series } from "../charts/echarts";
import { figure, fontSize, narrow, tooltip, valueAxis, type Drawing } from "../charts/figure";
import * as format from "../data/format";
import { details, el } from "../dom";
import type { Page } from "../page";
import type { SweepName, SweepPoint, Sweeps } from "../results";

const names: Record<SweepName, { title: string; x: string; caption: string }> = {
  batch: { title: "Batch", x: "sequences decoded together", caption: "Decoding: tokens a second of all sequences together." },
  prompt: { title: "Prompt length", x: "prompt tokens", caption: "Prefill: prompt tokens a second." },
  depth: { title: "Context depth", x: "tokens already in the KV cache", caption: "Decoding one sequence behind so many tokens." },
};

function drawing(page: Page, sweeps: Sweeps, name: SweepName, width: number): Drawing | string {
  const points = sweeps[name].filter((point) => page.shown.has(point.variant));
  if (points.length === 0) return sweeps[name].length === 0 ? "Left out: this sweep was not run." : "None of the chosen variants was swept.";
  const { ink, soft, warn } = page.theme;
  const variants = page.variants.map((variant) => variant.name).filter((variant) => points.some((point) => point.variant === variant));
  const of = (variant: string) => points.filter((point) => point.variant === variant).sort((a, b) => a.value - b.value);
  const values = [...new Set(points.map((point) => point.value))].sort((a, b) => a - b);
  const place = (point: SweepPoint) => values.indexOf(point.value);
  const crossed = sweeps.crossovers.filter((one) => one.sweep === name && page.shown.has(one.faster) && page.shown.has(one.slower));
  // Several crossovers at one value share a line; each is spelled out below the chart.
  const lines = [...new Set(crossed.map((one) => one.at).filter((at): at is number => at !== null && values.includes(at)))];

  const series: Series[] = variants.map((variant, i) => ({
    id: `line ${variant}`,
    name: variant,
    type: "line",
    symbol: page.symbol(variant),
    symbolSize: 8,
    showAllSymbol: true,
    itemStyle: page.mark(variant),
    lineStyle: { color: page.colour(variant), width: 2, type: page.look(variant).stroke === "solid" ? "solid" : "dashed" },
    data: of(variant).map((point) => [place(point), point.tokens_per_second.median]),
    markLine: i === 0 && lines.length > 0
      ? {
          symbol: "none", silent: true, lineStyle: { color: warn, type: "dashed" },
          label: { formatter: ({ value }: { value: number }) => `from ${format.integer(values[value])} on`, color: warn, fontSize, position: "end" },
          data: lines.map((at) => ({ xAxis: values.indexOf(at) })),
        }
      : undefined,
  }));
  const flat = variants.flatMap(of);
  const whiskers = (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const point = flat[api.value(2) as number];
    if (!point) return null;
    const [x = 0, low = 0] = api.coord([place(point), point.tokens_per_second.low ?? point.tokens_per_second.median]);
    const [, high = 0] = api.coord([place(point), point.tokens_per_second.high ?? point.tokens_per_second.median]);
    return { type: "line", shape: { x1: x, x2: x, y1: low, y2: high }, style: { stroke: page.colour(point.variant), lineWidth: 1.5 } };
  };
  series.push({ id: "whiskers", type: "custom", silent: true, renderItem: whiskers, data: flat.map((point, i) => [place(point), point.tokens_per_second.high ?? point.tokens_per_second.median, i]) });
  const legendLines = Math.ceil(variants.reduce((sum, one) => sum + 50 + 6.5 * one.length, 0) / Math.max(1, width - 16));
  const top = legendLines * 22 + 26;
  return {
    height: (narrow(width) ? 250 : 280) + top,
    summary: `${names[name].title}: ${variants.map((v) => `${v} ${of(v).map((p) => `${p.value}: ${format.number(p.tokens_per_second.median)}`).join(", ")}`).join("; ")} tokens/s.`,
    notes: crossed.filter((one) => one.at !== null).map((one) => format.sentence(one.text)),
    table: {
      columns: ["", ...values.map((value) => format.integer(value))],
      rows: variants.map((variant) => [variant, ...values.map((value) => {
        const rate = of(variant).find((point) => point.value === value)?.tokens_per_second;
        return rate ? format.interval(rate.median, rate.low, rate.high) : "–";
      })]),
    },
    option: {
      legend: { top: 0, left: 0, width: width - 8, textStyle: { color: ink, fontSize }, data: variants, selectedMode: false },
      grid: { left: 58, right: 20, top, bottom: 48 },
      xAxis: valueAxis(page, names[name].x, {
        type: "category", data: values.map((value) => format.integer(value)), boundaryGap: true, splitLine: { show: false },
      }),
      yAxis: valueAxis(page, "tokens/s", {
        min: 0, nameLocation: "end", nameGap: 8, splitNumber: 4, nameTextStyle: { color: soft, fontSize, align: "right" },
        axisLabel: { color: soft, fontSize, formatter: (v: number) => format.number(v) },
      }),
      tooltip: tooltip(page, ({ seriesName, dataIndex }) => {
        const point = of(seriesName)[dataIndex];
        if (!point) return null;
        const { median, low, high } = point.tokens_per_second;
        return [seriesName, `${names[name].x}: ${format.integer(point.value)}`, `${format.interval(median, low, high)} tokens/s`];
      }),
      series,
    },
  };
}

export function sweeps(page: Page): HTMLElement {
  const found = page.results.sweeps;
  const section = el("section", { id: "sweeps" }, el("h2", {}, "Sweeps and crossovers"));
  if (!found) {
    section.append(el("p", { class: "absent" }, "Left out: a study runs its sweeps over batch, prompt and context with --full."));
    return section;
  }
  section.append(
    el("div", { class: "triple" }, ...(Object.keys(names) as SweepName[]).map((name) =>
      figure(page, {
        id: `sweep-${name}`,
        title: names[name].title,
        caption: `${names[name].caption} The steps are evenly spaced, whatever their distance. A dashed line marks where one variant overtakes another.`,
        draw: (width) => drawing(page, found, name, width),
      }))),
  );
  const steady = found.crossovers.filter((one) => one.at === null);
  if (steady.length > 0) {
    section.append(details("Pairs that do not change places", el("ul", { class: "note" }, ...steady.map((one) => el("li", {}, format.sentence(one.text))))));
  }
  if (found.skipped && found.skipped.length > 0) {
    section.append(details("What was not measured", el("ul", { class: "note" }, ...found.skipped.map((text) => el("li", {}, format.sentence(text))))));
  }
  return section;
}
