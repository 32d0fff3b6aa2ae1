// One colour a weight format, one drawing style an attention (with its KV format and device): a
// variant looks the same in every chart, and no two differ by hue alone. The hues keep apart for
// people who confuse red and green (after Okabe and Ito), at 3:1 or more against the page.
import type { Variant } from "./results";

export interface Theme {
  name: "light" | "dark";
  background: string;
  ink: string;
  soft: string;
  line: string;
  accent: string;
  warn: string;
  /** Of variants, by their weight format. */
  palette: readonly string[];
  /** Of the parts of a stack: other hues than the variants' (after Tol's "muted"). */
  parts: readonly string[];
}

export const light: Theme = {
  name: "light",
  background: "#ffffff",
  ink: "#1b2733",
  soft: "#55636f",
  line: "#d5dce2",
  accent: "#0b6477",
  warn: "#a33b00",
  palette: ["#66737f", "#0072b2", "#c75000", "#00805d", "#a0529a", "#8f7200", "#3f3d99", "#b3245f"],
  parts: ["#332288", "#3d93b8", "#117733", "#a8912e", "#c4556a", "#882255", "#36907f", "#8a8f94"],
};

export const dark: Theme = {
  name: "dark",
  background: "#12181e",
  ink: "#e6ecf1",
  soft: "#a3b0bb",
  line: "#35424d",
  accent: "#5cc4d8",
  warn: "#ff9d5c",
  palette: ["#9fadb9", "#56b4e9", "#f08a3c", "#2fc296", "#d993d2", "#e0c341", "#a5a8f5", "#ff82ad"],
  parts: ["#8f84e8", "#88ccee", "#4fb06c", "#ddcc77", "#e88a98", "#c4609a", "#59c9b8", "#9aa3ab"],
};

/** solid: filled; hollow: pale with an outline; dashed and dotted: pale with a broken outline. */
export type Stroke = "solid" | "hollow" | "dashed" | "dotted";

export interface Look {
  hue: number;
  stroke: Stroke;
}

/** How each variant is drawn, by its name. */
export function looks(variants: readonly Variant[]): Map<string, Look> {
  const weights = [...new Set(variants.map((variant) => variant.weights))];
  const way = (variant: Variant) => [variant.attention, variant.kv, variant.device].join(" ");
  // Fused attention is what people end up with: it gets the full colour.
  const ways = [...new Set(variants.map(way))].sort((a, b) => Number(a.startsWith("eager")) - Number(b.startsWith("eager")));
  const strokes: Stroke[] = ["solid", "hollow", "dashed", "dotted"];
  return new Map(
    variants.map((variant) => {
      const hue = weights.indexOf(variant.weights);
      // Where the hues begin again, the broken outlines tell the second round from the first.
      const round = hue < light.palette.length ? 0 : 2;
      return [variant.name, { hue, stroke: strokes[Math.min(ways.indexOf(way(variant)) + round, 3)] ?? "dotted" }];
    }),
  );
}

export function hueOf(theme: Theme, index: number): string {
  return theme.palette[index % theme.palette.length] ?? theme.soft;
}

/** A mix of two #rrggbb colours; share 0 is all `from`. */
export function mix(from: string, to: string, share: number): string {
  const channel = (colour: string, at: number) => parseInt(colour.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map((at) => Math.round(channel(from, at) * (1 - share) + channel(to, at) * share));
  return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
}

/** WCAG's contrast ratio of two #rrggbb colours, 1 to 21. */
export function contrast(a: string, b: string): number {
  const luminance = (colour: string) => {
    const [r, g, blue] = [1, 3, 5].map((at) => {
      const c = parseInt(colour.slice(at, at + 2), 16) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * blue;
  };
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}
