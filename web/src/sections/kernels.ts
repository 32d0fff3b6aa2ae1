// Where the time goes: kernels and parts of the model, and the roofline they stand under.
import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import type { Series } from "../charts/echarts";
import { labelSeries } from "../charts/labels";
import { figure, font, fontFamily, fontSize, narrow, tooltip, valueAxis, type Drawing } from "../charts/figure";
import { stackChart, type Stack } from "../charts/stack";
import { rooflinePoints, rooflineRange } from "../data/roofline";
import * as format from "../data/format";
import { choice, el, table } from "../dom";
import type { Page } from "../page";
import type { Kernel, Profile, Timeline, Variant } from "../results";

type Profiled = Variant & { profile: Profile };
type Grouping = "part" | "kernel";

function profiled(page: Page): Profiled[] {
  return page.variants.filter((variant): variant is Profiled => variant.profile !== null && variant.profile !== undefined);
}

const noProfile = "Left out: no variant was profiled in this run.";
const noneChosen = "None of the chosen variants was profiled.";
const largestKernels = 6;
const rest = "other kernels";
const between = "outside kernels";

/** Seconds by part or by kernel; the smaller kernels of all variants stand together. */
function stacks(variants: Profiled[], grouping: Grouping): Stack[] {
  const sums = new Map<string, number>();
  const key = (kernel: Kernel) => (grouping === "kernel" ? kernel.name : kernel.part);
  for (const { profile } of variants) {
    for (const kernel of profile.kernels) sums.set(key(kernel), (sums.get(key(kernel)) ?? 0) + kernel.seconds);
  }
  const named = [...sums].sort((a, b) => b[1] - a[1]).map(([name]) => name).slice(0, grouping === "kernel" ? largestKernels : 7);
  return variants.map(({ name, profile }) => {
    const parts = new Map<string, number>(named.map((one) => [one, 0]));
    // In a profile the part "other" is the time that no kernel accounts for.
    if (grouping === "part" && profile.parts.length > 0) {
      for (const { part, seconds } of profile.parts) {
        const to = named.includes(part) ? part : part === "other" ? between : rest;
        parts.set(to, (parts.get(to) ?? 0) + seconds);
      }
    } else {
      for (const kernel of profile.kernels) {
        const to = named.includes(key(kernel)) ? key(kernel) : rest;
        parts.set(to, (parts.get(to) ?? 0) + kernel.seconds);
      }
    }
    const counted = [...parts.values()].reduce((sum, seconds) => sum + seconds, 0);
    const left = profile.wall_seconds - counted;
    // Shown, so that the bar is the whole time.
    if (left > 0.001 * profile.wall_seconds) parts.set(between, (parts.get(between) ?? 0) + left);
    return { name, parts, remark: format.seconds(profile.wall_seconds) };
  });
}

/** The GPU's time against the host's. */
function busy({ wall_seconds: wall, busy_seconds: seconds, launches, mean_seconds: mean, mean_gap_seconds: gap }: Timeline): string {
  return `Without a trace the run takes ${format.seconds(wall)} of the host's time, and the GPU is busy for ${format.percent(seconds / wall)} of it: ` +
    `${format.integer(launches)} kernels and copies of ${format.seconds(mean)} on average, with gaps of ${format.seconds(gap)}.`;
}

function kernelTable(page: Page): HTMLElement {
  const place = el("div", {});
  const fill = () => {
    place.replaceChildren(
      ...profiled(page).map(({ name, profile, slow_paths: slow }) => {
        const one = el("details", {}, el("summary", {}, page.badge(name), ` ${profile.kernels.length} kernels, ${format.seconds(profile.wall_seconds)}`));
        one.append(
          table(
            {
              columns: ["kernel", "part", "share", "total", "calls", "mean", "bytes", "operations", "unit", "GB/s", "Gop/s", "of ceiling", "bound by"],
              rows: profile.kernels.map((k) => [
                k.name, k.part, format.percent(k.share), format.seconds(k.seconds), format.integer(k.calls), format.seconds(k.mean_seconds),
                format.bytes(k.bytes), k.operations === null ? "–" : format.count(k.operations), k.unit ?? "–", format.number(k.gbps), format.number(k.gops),
                format.percent(k.share_of_ceiling, 2), k.bound ?? "–",
              ]),
            },
            `Kernels of ${name}`,
          ),
        );
        if (profile.timeline) one.append(el("p", { class: "note" }, busy(profile.timeline)));
        if (slow?.length > 0) one.append(el("ul", { class: "note" }, ...slow.map((text) => el("li", {}, text))));
        if (profile.trace_file) one.append(el("p", { class: "note" }, `Timeline for Perfetto: ${profile.trace_file}, in the study's folder.`));
        return one;
      }),
    );
  };
  page.onChange(fill);
  fill();
  return place;
}

function roofline(page: Page, variant: string | null, width: number): Drawing | string {
  const { ceilings } = page.results.run;
  if (!ceilings?.read_gbps) return "Left out: this machine's ceilings were not measured.";
  const points = page.results.variants
    .filter(({ name }) => name === variant)
    .flatMap(({ name, profile }) => rooflinePoints(profile?.kernels ?? []).map((point) => ({ ...point, variant: name })));
  if (points.length === 0) return "No kernel of this variant has both bytes and operations.";
  const read = ceilings.read_gbps;
  const roofs = ([["fp32", ceilings.fp32_gops], ["bf16", ceilings.bf16_gops], ["fp16", ceilings.fp16_gops], ["int8", ceilings.int8_gops]] as const)
    .filter((roof): roof is ["fp32" | "bf16" | "fp16" | "int8", number] => typeof roof[1] === "number" && roof[1] > 0);
  const { x, y } = rooflineRange(points, read, roofs.map(([, gops]) => gops));
  const { soft, accent, background } = page.theme;
  const sky = Math.max(...roofs.map(([, gops]) => gops), ...(roofs.length === 0 ? [read * x[1]] : []));
  const series: Series[] = [
    {
      id: "bandwidth", type: "line", silent: true, showSymbol: false, lineStyle: { color: accent, width: 2 },
      data: [[x[0], read * x[0]], [sky / read, sky]],
      endLabel: { show: false },
    },
    ...roofs.map(([name, gops]) => ({
      id: `roof ${name}`, type: "line", silent: true, showSymbol: false, lineStyle: { color: accent, width: 1.5, type: "dashed" },
      data: [[gops / read, gops], [x[1], gops]],
      endLabel: { show: true, formatter: `${name} ${format.number(gops)}`, color: soft, fontSize, fontFamily, offset: [-8, -8], align: "right" },
    })),
  ];
  const shapes = (_: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const [px = 0, py = 0] = api.coord([x[0], read * x[0]]);
    const [qx = 0, qy = 0] = api.coord([sky / read, sky]);
    const part = 0.3;
    return {
      type: "text", x: px + (qx - px) * part, y: py + (qy - py) * part - 6, rotation: Math.atan2(py - qy, qx - px),
      style: { text: `reads ${format.number(read)} GB/s`, fill: soft, font, stroke: background, lineWidth: 3, align: "center", verticalAlign: "bottom" },
    };
  };
  series.push({ id: "bandwidth name", type: "custom", silent: true, renderItem: shapes, data: [[x[0], y[0]]] });
  series.push({
    id: "kernels", type: "scatter", z: 5,
    data: points.map((point) => ({
      name: point.name, value: [point.x, point.y], symbolSize: 7 + 22 * Math.sqrt(point.kernel.share),
      symbol: "circle", itemStyle: { ...page.mark(point.variant), opacity: 0.85 },
    })),
  });
  series.push(labelSeries(page, points.filter((point) => point.kernel.share >= 0.01).map((point) => ({ name: point.name, x: point.x, y: point.y, radius: (7 + 22 * Math.sqrt(point.kernel.share)) / 2 }))));
  const labels = (value: number) => format.number(value, 1);
  return {
    height: narrow(width) ? 360 : 440,
    summary: `Roofline of ${points.length} kernels under ${format.number(read)} GB/s and ${roofs.map(([name, gops]) => `${name} ${format.number(gops)} Gop/s`).join(", ")}.`,
    table: {
      columns: ["kernel", "variant", "operations a byte", "Gop/s", "of ceiling", "share of time"],
      rows: points.map((p) => [p.name, p.variant, format.number(p.x), format.number(p.y), format.percent(p.kernel.share_of_ceiling, 2), format.percent(p.kernel.share)]),
    },
    notes: ["Both scales are logarithmic. A kernel's area grows with its share of the time; the ones under 1 % have no name here."],
    option: {
      grid: { left: 60, right: 20, top: 30, bottom: 48 },
      xAxis: valueAxis(page, "operations a byte", { type: "log", min: x[0], max: x[1], axisLabel: { color: soft, fontSize, formatter: labels, showMaxLabel: false } }),
      yAxis: valueAxis(page, "Gop/s", {
        type: "log", min: y[0], max: y[1], nameLocation: "end", nameGap: 12,
        nameTextStyle: { color: soft, fontSize, align: "right" }, axisLabel: { color: soft, fontSize, formatter: labels, showMaxLabel: false },
      }),
      tooltip: tooltip(page, ({ seriesId, dataIndex }) => {
        const p = seriesId === "kernels" ? points[dataIndex] : undefined;
        return p
          ? [`${p.name} · ${p.variant}`, `${format.number(p.x)} operations a byte`, `${format.number(p.y)} Gop/s, ${format.number(p.kernel.gbps)} GB/s`,
             `${format.percent(p.kernel.share_of_ceiling, 2)} of its ceiling (${p.kernel.bound ?? "unknown"})`, `${format.percent(p.kernel.share)} of the time, ${format.integer(p.kernel.calls)} calls`]
          : null;
      }),
      series,
    },
  };
}

export function kernels(page: Page): HTMLElement {
  let grouping: Grouping = "part";
  const withProfile = page.results.variants.filter((variant) => variant.profile);
  let roofed = (withProfile.find((variant) => variant.name === page.results.recommended) ?? withProfile[0])?.name ?? null;
  const section = el("section", { id: "kernels" }, el("h2", {}, "Where the time goes"));
  const workload = withProfile[0]?.profile?.workload;
  if (workload === undefined) {
    section.append(el("p", { class: "absent" }, noProfile));
    return section;
  }
  section.append(
    figure(page, {
      id: "kernel-time",
      title: "Time by variant",
      caption: `Of one traced run of ${workload} (pp: tokens of the prompt, tg: tokens generated); a bar is its whole time.`,
      controls: (redraw) => [
        choice("By", [{ value: "part" as const, label: "part of the model" }, { value: "kernel" as const, label: "kernel" }], grouping, (value) => {
          grouping = value;
          redraw();
        }),
      ],
      draw: (width) => {
        const variants = profiled(page);
        if (variants.length === 0) return noneChosen;
        const all = stacks(variants, grouping);
        return stackChart(page, {
          stacks: all, axis: "time, less is better", write: format.seconds, width,
          summary: `Time by ${grouping}: ${all.map((stack) => `${stack.name} ${stack.remark}`).join(", ")}.`,
        });
      },
    }),
    figure(page, {
      id: "roofline",
      title: "Roofline",
      caption: "What each kernel achieves under what this machine can do at most: the slope is the measured read bandwidth, the flat lines are the measured arithmetic ceilings. A point on its line cannot get faster; one above the slope finds its bytes in a cache.",
      controls: (redraw) => [
        choice("Variant", profiled(page).map(({ name }) => ({ value: name, label: name })), roofed ?? "", (value) => {
          roofed = value;
          redraw();
        }),
      ],
      draw: (width) => roofline(page, roofed, width),
    }),
    el("h3", {}, "Every kernel"),
    kernelTable(page),
  );
  return section;
}
