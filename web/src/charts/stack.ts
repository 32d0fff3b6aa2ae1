// Horizontal bars from zero, stacked of named parts.
import * as format from "../data/format";
import type { Page } from "../page";
import type { Series } from "./echarts";
import { fontSize, narrow, nameAxis, nameSpace, rowHeight, tooltip, valueAxis, type Drawing } from "./figure";

export interface Stack {
  name: string;
  /** By part; what is absent counts nothing. */
  parts: Map<string, number>;
  /** Behind the bar; by default the sum. */
  remark?: string;
  /** Drawn pale: what it would be, and is not. */
  pale?: boolean;
}

export interface StackChartOptions {
  stacks: Stack[];
  axis: string;
  write: (value: number) => string;
  width: number;
  summary: string;
  line?: { value: number; name: string } | null;
  notes?: string[];
  /** Further columns of the table. */
  columns?: { title: string; cell: (stack: Stack) => string }[];
}

export function stackChart(page: Page, options: StackChartOptions): Drawing {
  const { stacks, axis, write, width, summary, line, notes, columns = [] } = options;
  const { ink, soft, warn, background } = page.theme;
  const names = stacks.map((stack) => stack.name);
  const parts = [...new Set(stacks.flatMap((stack) => [...stack.parts.keys()]))];
  const total = (stack: Stack) => [...stack.parts.values()].reduce((sum, value) => sum + value, 0);
  const remark = (stack: Stack) => stack.remark ?? write(total(stack));
  const space = Math.min(width * 0.42, 14 + 6.5 * Math.max(...stacks.map((stack) => remark(stack).length)));
  const largest = Math.max(...stacks.map(total));
  // Legend lines by the room that its entries take.
  const legendLines = Math.ceil(parts.reduce((sum, part) => sum + 44 + 6.5 * part.length, 0) / Math.max(1, width - 16));
  const legendHeight = legendLines * 22;
  const series: Series[] = parts.map((part, i) => ({
    id: `part ${i}`,
    name: part,
    type: "bar",
    stack: "all",
    barWidth: 18,
    itemStyle: { color: page.theme.parts[i % page.theme.parts.length], borderColor: background, borderWidth: 1 },
    data: stacks.map((stack) => ({ value: stack.parts.get(part) ?? 0, itemStyle: { opacity: stack.pale ? 0.35 : 1 } })),
    label: { show: false },
  }));
  series.push({
    id: "sums",
    type: "bar",
    stack: "all",
    silent: true,
    data: stacks.map(() => 0),
    label: { show: true, position: "right", color: ink, fontSize, formatter: ({ dataIndex }: { dataIndex: number }) => remark(stacks[dataIndex] as Stack) },
    markLine: line && {
      symbol: "none",
      silent: true,
      lineStyle: { color: warn, type: "dashed" },
      label: { formatter: line.name, color: warn, fontSize, position: "start" },
      data: [{ xAxis: line.value }],
    },
  });
  return {
    height: rowHeight(width) * stacks.length + 72 + legendHeight + (line ? 18 : 0),
    summary,
    notes,
    table: {
      columns: ["", ...parts, "sum", ...columns.map((column) => column.title)],
      rows: stacks.map((stack) => [
        stack.name, ...parts.map((part) => (stack.parts.has(part) ? write(stack.parts.get(part) ?? 0) : "–")), write(total(stack)),
        ...columns.map((column) => column.cell(stack)),
      ]),
    },
    option: {
      legend: { top: 0, left: 0, width: width - 8, itemWidth: 14, itemHeight: 10, textStyle: { color: ink, fontSize }, data: parts, inactiveColor: soft, selectedMode: false },
      grid: { left: nameSpace(names, width), right: space, top: legendHeight + (line ? 26 : 10), bottom: 48, containLabel: false },
      xAxis: valueAxis(page, axis, {
        min: 0, max: line && line.value > largest ? line.value * 1.02 : null, splitNumber: narrow(width) ? 3 : 5,
        axisLabel: { color: soft, fontSize, hideOverlap: true, formatter: format.tick(write) },
      }),
      yAxis: nameAxis(page, names, width),
      tooltip: tooltip(page, ({ seriesName, dataIndex }) => {
        const stack = stacks[dataIndex];
        if (!stack) return null;
        return [stack.name, ...[...stack.parts].map(([part, value]) => `${part === seriesName ? "▸ " : ""}${part}: ${write(value)}`)];
      }),
      series,
    },
  };
}
