// Horizontal bars from zero, each with its 95 % interval and, behind it, the raw samples as dots.
import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import * as format from "../data/format";
import type { Page } from "../page";
import type { Series } from "./echarts";
import { fittedRange } from "../data/ranges";
import { font, fontSize, narrow, nameAxis, nameSpace, rowHeight, tooltip, valueAxis, type Drawing } from "./figure";

export interface Bar {
  /** A variant's name, which also gives the colour, or another row's. */
  name: string;
  value: number;
  /** null: the interval is not known. */
  low: number | null;
  high: number | null;
  samples?: number[];
  /** Behind the value, for example the verdict against the baseline. */
  remark?: string;
  /** Not one of ours: drawn in grey. */
  foreign?: boolean;
}

export interface BarChartOptions {
  bars: Bar[];
  /** The axis: figure and unit. */
  axis: string;
  write: (value: number) => string;
  width: number;
  summary: string;
  /** A value that all are to be compared with. */
  line?: { value: number; name: string };
  notes?: string[];
  /** Only medians, intervals and samples, on an axis fitted to them: a bar would have to begin at zero. */
  closeUp?: boolean;
}

/** Where the sample dots lie across a bar, so that equal samples stay apart: -1 to 1, always the same. */
function jitter(index: number): number {
  return ((index * 0.618034) % 1) * 2 - 1;
}

export function barChart(page: Page, { bars, axis, write, width, summary, line, notes, closeUp = false }: BarChartOptions): Drawing {
  const { ink, soft, background, warn } = page.theme;
  const names = bars.map((bar) => bar.name);
  const row = (bar: Bar) => bars.indexOf(bar);
  const reach = (bar: Bar) => Math.max(bar.value, bar.high ?? bar.value, ...(bar.samples ?? []));
  const label = (bar: Bar) => write(bar.value) + (bar.remark ? `  ${bar.remark}` : "");
  const space = Math.min(width * 0.42, 14 + 6.3 * Math.max(...bars.map((bar) => label(bar).length)));
  const thickness = 16;
  const foreign = { color: "transparent", borderColor: soft, borderWidth: 1.5, borderType: "dashed" };

  const whiskers = (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const bar = bars[api.value(1) as number];
    if (!bar) return null;
    const [end = 0, y = 0] = api.coord([reach(bar), row(bar)]);
    const text = { type: "text", style: { text: label(bar), x: end + 10, y, align: "left", verticalAlign: "middle", fill: ink, font } };
    if (bar.low === null || bar.high === null) return text;
    const [left = 0] = api.coord([bar.low, row(bar)]);
    const [right = 0] = api.coord([bar.high, row(bar)]);
    const style = { stroke: ink, lineWidth: 1.5, fill: "none" };
    const cap = (x: number) => ({ type: "line", shape: { x1: x, x2: x, y1: y - 5, y2: y + 5 }, style });
    return {
      type: "group",
      children: [
        { type: "line", shape: { x1: left, x2: right, y1: y, y2: y }, style },
        cap(left),
        cap(right),
        text,
      ],
    };
  };
  const dots = (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const [x = 0, y = 0] = api.coord([api.value(0), api.value(1)]);
    return {
      type: "circle",
      shape: { cx: x, cy: y + jitter(api.value(2) as number) * (thickness / 2 - 2), r: closeUp ? 3 : 2 },
      style: { fill: background, stroke: ink, lineWidth: 0.8, opacity: 0.75 },
    };
  };
  const samples = bars.flatMap((bar) => (bar.samples ?? []).map((sample, index) => [sample, row(bar), index]));
  const style = (bar: Bar) => (bar.foreign ? foreign : page.mark(bar.name));
  const [from, to] = closeUp ? fittedRange(Math.min(...bars.map((bar) => Math.min(bar.value, bar.low ?? bar.value, ...(bar.samples ?? [])))), Math.max(...bars.map(reach)), 0.05) : [0, null];
  const series: Series[] = [
    {
      id: "bars",
      ...(closeUp
        ? { type: "scatter", symbol: "rect", symbolSize: [5, thickness + 4], data: bars.map((bar) => ({ value: [bar.value, row(bar)], itemStyle: style(bar) })) }
        : { type: "bar", barWidth: thickness, data: bars.map((bar) => ({ value: bar.value, itemStyle: style(bar) })) }),
      markLine: line && {
        symbol: "none",
        silent: true,
        lineStyle: { color: warn, type: "dashed" },
        label: { formatter: line.name, color: warn, fontSize, position: "start" },
        data: [{ xAxis: line.value }],
      },
    },
    { id: "samples", type: "custom", renderItem: dots, data: samples, encode: { x: 0, y: 1 }, silent: true, z: 3 },
    // The value first: the axis reaches as far as the whiskers do.
    { id: "whiskers", type: "custom", renderItem: whiskers, data: bars.map((bar) => [reach(bar), row(bar)]), encode: { x: 0, y: 1 }, silent: true, z: 4 },
  ];
  return {
    height: rowHeight(width) * bars.length + (line ? 84 : 64),
    summary,
    notes,
    table: {
      columns: ["", axis, "95 % interval", "samples", ...(bars.some((bar) => bar.remark) ? ["remark"] : [])],
      rows: bars.map((bar) => [
        bar.name, write(bar.value), format.range(bar.low, bar.high, write), format.integer(bar.samples?.length),
        ...(bars.some((other) => other.remark) ? [bar.remark ?? "–"] : []),
      ]),
    },
    option: {
      grid: { left: nameSpace(names, width), right: space, top: line ? 28 : 8, bottom: 48, containLabel: false },
      xAxis: valueAxis(page, axis, { min: from, max: to, splitNumber: narrow(width) ? 3 : 5, axisLabel: { color: soft, fontSize, hideOverlap: true, formatter: format.tick(write), showMinLabel: from === 0, showMaxLabel: to === null } }),
      yAxis: nameAxis(page, names, width),
      tooltip: tooltip(page, ({ dataIndex, seriesId }) => {
        const bar = seriesId === "bars" ? bars[dataIndex] : undefined;
        return bar
          ? [bar.name, `${axis}: ${write(bar.value)}`, `95 % interval: ${format.range(bar.low, bar.high, write)}`,
             ...(bar.samples ? [`${bar.samples.length} samples`] : []), ...(bar.remark ? [bar.remark] : [])]
          : null;
      }),
      series,
    },
  };
}
