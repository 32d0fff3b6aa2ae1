// A figure: title, what it shows, its chart, and the same values as a table for whoever cannot see
// or hover. Draws itself again when variants are chosen, the theme or the width changes.
import { details, el, table, type Child, type Table } from "../dom";
import type { Page } from "../page";
import { echarts, type Option } from "./echarts";

export interface Drawing {
  option: Option;
  height: number;
  /** What a screen reader says in the chart's place. */
  summary: string;
  table: Table;
  /** Below the chart: what was left out and why. */
  notes?: string[];
}

/** Draws for a width in CSS pixels; a string says why there is nothing to draw. */
export type Draw = (width: number) => Drawing | string;

export interface FigureOptions {
  id: string;
  title: string;
  caption: Child;
  controls?: (redraw: () => void) => HTMLElement[];
  draw: Draw;
}

export const narrow = (width: number) => width < 440;

export function figure(page: Page, { id, title, caption, controls, draw }: FigureOptions): HTMLElement {
  const canvas = el("div", { class: "chart", role: "img" });
  const below = el("div", { class: "below" });
  let chart: ReturnType<typeof echarts.init> | null = null;
  let drawnWidth = 0;

  const redraw = () => {
    const width = page.paperWidth ?? canvas.clientWidth;
    if (width === 0) return;
    drawnWidth = canvas.clientWidth;
    const wasOpen = below.querySelector("details")?.open ?? false;
    const drawing = draw(width);
    if (typeof drawing === "string") {
      chart?.dispose();
      chart = null;
      canvas.style.height = "";
      canvas.removeAttribute("aria-label");
      canvas.removeAttribute("role");
      canvas.replaceChildren(el("p", { class: "absent" }, drawing));
      below.replaceChildren();
      return;
    }
    canvas.style.height = `${drawing.height}px`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", drawing.summary);
    if (!chart) {
      canvas.replaceChildren();
      chart = echarts.init(canvas, null, { renderer: "svg", width, height: drawing.height });
    } else {
      chart.resize({ width, height: drawing.height });
    }
    chart.setOption({ ...base(page), ...drawing.option }, { notMerge: true });
    const values = details("The values as a table", table(drawing.table, title));
    values.open = wasOpen;
    below.replaceChildren(...(drawing.notes ?? []).map((note) => el("p", { class: "note" }, note)), values);
  };

  page.onChange(redraw);
  new ResizeObserver(() => {
    if (page.paperWidth === null && canvas.clientWidth !== drawnWidth) requestAnimationFrame(redraw);
  }).observe(canvas);

  return el(
    "figure",
    { id, "aria-labelledby": `${id}-title` },
    el("figcaption", {}, el("h3", { id: `${id}-title` }, title), el("p", {}, caption)),
    ...(controls?.(redraw) ?? []),
    canvas,
    below,
  );
}

export const fontSize = 12;
export const fontFamily = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';
/** Of text that a custom series draws. */
export const font = `${fontSize}px ${fontFamily}`;

function base(page: Page): Option {
  return {
    animation: false,
    textStyle: { fontFamily, fontSize, color: page.theme.ink },
    // Never HTML made of strings: see lines().
    tooltip: { show: false },
  };
}

/** A tooltip of text lines; the first is a heading. */
export function tooltip(page: Page, write: (parameters: TooltipParameters) => string[] | null): Record<string, unknown> {
  const { background, ink, line } = page.theme;
  return {
    trigger: "item",
    confine: true,
    backgroundColor: background,
    borderColor: line,
    textStyle: { color: ink, fontFamily, fontSize },
    formatter: (parameters: TooltipParameters) => {
      const [heading, ...rest] = write(parameters) ?? [];
      if (heading === undefined) return null;
      return el("div", {}, el("strong", {}, heading), ...rest.map((text) => el("div", {}, text)));
    },
  };
}

export interface TooltipParameters {
  seriesIndex: number;
  seriesName: string;
  seriesId: string;
  dataIndex: number;
  name: string;
  value: unknown;
  data: unknown;
}

/** An axis of numbers, named at its end. */
export function valueAxis(page: Page, name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  const { ink, soft, line } = page.theme;
  return {
    type: "value",
    name,
    nameLocation: "middle",
    nameGap: 26,
    nameTextStyle: { color: soft, fontSize },
    axisLabel: { color: soft, fontSize, hideOverlap: true },
    axisLine: { show: true, lineStyle: { color: line } },
    axisTick: { show: false },
    splitLine: { lineStyle: { color: line, opacity: 0.6 } },
    axisPointer: { label: { color: ink } },
    ...more,
  };
}

/** An axis of names, from top to bottom. Where there is no room at the side, they stand on the bars. */
export function nameAxis(page: Page, names: string[], width: number): Record<string, unknown> {
  const { ink, line } = page.theme;
  const side = !narrow(width);
  return {
    type: "category",
    data: names,
    inverse: true,
    axisTick: { show: false },
    axisLine: { lineStyle: { color: line } },
    axisLabel: side
      ? { color: ink, fontSize, width: 170, overflow: "truncate", interval: 0 }
      : { color: ink, fontSize, interval: 0, inside: true, align: "left", verticalAlign: "bottom", padding: [0, 0, 12, 0], margin: 0, width: width - 40, overflow: "truncate" },
    z: 10,
  };
}

/** The space that the labels of nameAxis take at the left. */
export function nameSpace(names: string[], width: number): number {
  if (narrow(width)) return 8;
  return Math.min(180, 16 + 7 * Math.max(...names.map((name) => name.length)));
}
/** The height of a row of a chart with named rows. */
export const rowHeight = (width: number) => (narrow(width) ? 46 : 34);
