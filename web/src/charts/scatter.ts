// Points of two figures with an interval each way, and the Pareto front: what nothing else beats in
// both.
import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import * as format from "../data/format";
import { fittedRange } from "../data/ranges";
import { paretoFront, staircase, type Direction } from "../data/pareto";
import type { Interval } from "../results";
import type { Page } from "../page";
import type { Series } from "./echarts";
import { labelSeries } from "./labels";
import { fontSize, narrow, tooltip, valueAxis, type Drawing } from "./figure";

export interface ScatterPoint {
  name: string;
  x: Interval;
  y: Interval;
}

export interface ScatterOptions {
  points: ScatterPoint[];
  x: { axis: string; better: Direction; write: (value: number) => string };
  y: { axis: string; better: Direction; write: (value: number) => string; min?: number; limit?: { value: number; name: string } };
  width: number;
  summary: string;
  notes?: string[];
}

export function scatterChart(page: Page, { points, x, y, width, summary, notes }: ScatterOptions): Drawing {
  const { soft, warn } = page.theme;
  const [xMin, xMax] = fittedRange(Math.min(...points.map((p) => p.x.low ?? p.x.value)), Math.max(...points.map((p) => p.x.high ?? p.x.value)), narrow(width) ? 0.25 : 0.15);
  const ys = points.flatMap((p) => [p.y.value, p.y.low ?? p.y.value, p.y.high ?? p.y.value]);
  const limit = y.limit;
  // The limit comes into view where it lies near.
  const [lowest, highest] = [Math.min(...ys), Math.max(...ys)];
  if (limit && limit.value > highest && limit.value < highest + 2 * (highest - lowest)) ys.push(limit.value);
  let [yMin, yMax] = fittedRange(Math.min(...ys), Math.max(...ys), 0.12);
  // A little below, so that a point on zero shows whole.
  if (y.min !== undefined) yMin = y.min - 0.06 * (yMax - y.min);
  if (yMax <= yMin) yMax = yMin + 1;
  const front = paretoFront(points.map((p) => ({ name: p.name, x: p.x.value, y: p.y.value })), { x: x.better, y: y.better });
  const corners = staircase(front, { x: x.better, y: y.better });

  const crowded = narrow(width) && points.length > 10;
  const named = crowded ? points.filter((p) => front.some((other) => other.name === p.name)) : points;
  const crosses = (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const point = points[api.value(2) as number];
    if (!point) return null;
    const at = (px: number, py: number) => api.coord([px, py]) as [number, number];
    const [cx, cy] = at(point.x.value, point.y.value);
    const style = { stroke: page.colour(point.name), lineWidth: 1.2 };
    return {
      type: "group",
      children: [
        { type: "line", shape: { x1: at(point.x.low ?? point.x.value, point.y.value)[0], x2: at(point.x.high ?? point.x.value, point.y.value)[0], y1: cy, y2: cy }, style },
        { type: "line", shape: { x1: cx, x2: cx, y1: at(point.x.value, point.y.low ?? point.y.value)[1], y2: at(point.x.value, point.y.high ?? point.y.value)[1] }, style },
      ],
    };
  };
  const series: Series[] = [
    {
      id: "front",
      type: "line",
      data: corners,
      showSymbol: false,
      silent: true,
      lineStyle: { color: soft, width: 1.5, type: "dashed" },
      z: 1,
      markLine: limit && limit.value <= yMax && limit.value >= yMin && {
        symbol: "none", silent: true, lineStyle: { color: warn, type: "dashed" },
        label: { formatter: limit.name, color: warn, fontSize, position: "insideStartTop" }, data: [{ yAxis: limit.value }],
      },
    },
    { id: "crosses", type: "custom", renderItem: crosses, data: points.map((p, i) => [p.x.value, p.y.value, i]), silent: true, clip: true, z: 2 },
    {
      id: "points",
      type: "scatter",
      z: 3,
      symbolSize: 13,
      data: points.map((p) => ({
        name: p.name,
        value: [p.x.value, p.y.value],
        symbol: page.symbol(p.name),
        itemStyle: page.mark(p.name),
      })),
    },
    labelSeries(page, named.map((p) => ({ name: p.name, x: p.x.value, y: p.y.value, radius: 8 }))),
  ];
  const onFloor = { show: true, onZero: false, lineStyle: { color: page.theme.line } };
  const best = `${y.better === "lower" ? "↓" : "↑"}${x.better === "lower" ? "←" : "→"} better`;
  return {
    height: page.paperWidth !== null ? 300 : narrow(width) ? 340 : 400,
    summary: `${summary} On the Pareto front: ${front.map((p) => p.name).join(", ")}.`,
    notes: [...(xMin > 0 || yMin > 0 ? ["The axes are fitted to the points and do not begin at zero."] : []), ...(crowded ? ["Only the variants on the dashed line are named here; the table names all."] : []), ...(notes ?? [])],
    table: {
      columns: ["", x.axis, "95 % interval", y.axis, "95 % interval", "Pareto front"],
      rows: points.map((p) => [
        p.name, x.write(p.x.value), format.range(p.x.low, p.x.high, x.write),
        y.write(p.y.value), format.range(p.y.low, p.y.high, y.write),
        front.some((other) => other.name === p.name) ? "yes" : "no",
      ]),
    },
    option: {
      grid: { left: 66, right: 16, top: 30, bottom: 48 },
      xAxis: valueAxis(page, x.axis, { axisLine: onFloor, min: xMin, max: xMax, axisLabel: { color: soft, fontSize, hideOverlap: true, formatter: format.tick(x.write), showMinLabel: xMin === 0, showMaxLabel: false } }),
      yAxis: valueAxis(page, `${y.axis}   ${best}`, {
        min: yMin, max: yMax, nameLocation: "end", nameGap: 12, nameTextStyle: { color: soft, fontSize, align: "left", padding: [0, 0, 0, -58] },
        axisLabel: { color: soft, fontSize, formatter: (v: number) => (v < 0 && y.min === 0 ? "" : format.tick(y.write)(v)), showMaxLabel: false },
      }),
      tooltip: tooltip(page, ({ seriesId, dataIndex }) => {
        const p = seriesId === "points" ? points[dataIndex] : undefined;
        return p
          ? [p.name, `${x.axis}: ${x.write(p.x.value)}, 95 % interval ${format.range(p.x.low, p.x.high, x.write)}`,
             `${y.axis}: ${y.write(p.y.value)}, 95 % interval ${format.range(p.y.low, p.y.high, y.write)}`]
          : null;
      }),
      series,
    },
  };
}
