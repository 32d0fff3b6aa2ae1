// What the sections share: the results, which variants are shown, the theme, and who wants to know.
import { dark, hueOf, light, looks, mix, type Look, type Theme } from "./colours";
import { el, svg } from "./dom";
import type { Results, Variant } from "./results";

export class Page {
  readonly shown: Set<string>;
  private readonly looks: Map<string, Look>;
  private readonly listeners: (() => void)[] = [];
  private printing = false;

  constructor(readonly results: Results) {
    this.shown = new Set(results.variants.map((variant) => variant.name));
    this.looks = looks(results.variants);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    // Paper is white, and narrower than the window.
    const paper = (printing: boolean) => () => {
      this.printing = printing;
      this.changed();
    };
    window.addEventListener("beforeprint", paper(true));
    window.addEventListener("afterprint", paper(false));
  }

  get theme(): Theme {
    return !this.printing && window.matchMedia("(prefers-color-scheme: dark)").matches ? dark : light;
  }

  /** Set while printing: the width of a chart on paper, in CSS pixels (A4 less its margins). */
  get paperWidth(): number | null {
    return this.printing ? 640 : null;
  }

  /** The variants that are ticked, in the study's order. */
  get variants(): Variant[] {
    return this.results.variants.filter((variant) => this.shown.has(variant.name));
  }

  show(name: string, shown: boolean): void {
    if (shown) this.shown.add(name);
    else this.shown.delete(name);
    this.changed();
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  look(variant: string): Look {
    return this.looks.get(variant) ?? { hue: 0, stroke: "solid" };
  }

  colour(variant: string): string {
    return hueOf(this.theme, this.look(variant).hue);
  }

  /** ECharts' item style for marks of a variant. */
  mark(variant: string): { color: string; borderColor: string; borderWidth: number; borderType: "solid" | "dashed" | "dotted" } {
    const colour = this.colour(variant);
    const { stroke } = this.look(variant);
    return {
      color: stroke === "solid" ? colour : mix(this.theme.background, colour, 0.18),
      borderColor: colour,
      borderWidth: 1.5,
      borderType: stroke === "dashed" || stroke === "dotted" ? stroke : "solid",
    };
  }

  /** The shape of its points. */
  symbol(variant: string): string {
    return { solid: "circle", hollow: "diamond", dashed: "rect", dotted: "triangle" }[this.look(variant).stroke];
  }

  /** The variant's mark and name, for text and tables. The colours come by class, so that they
   *  follow the theme without a script. */
  badge(variant: string): HTMLElement {
    const { hue, stroke } = this.look(variant);
    const known = this.looks.has(variant);
    return el(
      "span",
      { class: "variant" },
      known &&
        svg(
          "svg",
          { class: `mark hue-${hue % light.palette.length} ${stroke}`, viewBox: "0 0 12 12", "aria-hidden": "true" },
          svg("rect", { x: 1, y: 1, width: 10, height: 10, rx: 2 }),
        ),
      el("span", {}, variant),
    );
  }

  /** Ticks a variant in or out; the same box may stand in several places. */
  tick(variant: string, label: "badge" | "none"): HTMLElement {
    const box = el("input", {
      type: "checkbox",
      checked: this.shown.has(variant),
      "aria-label": label === "none" ? `Show ${variant} in the charts` : null,
      change: () => this.show(variant, box.checked),
    });
    this.onChange(() => {
      box.checked = this.shown.has(variant);
    });
    return el("label", { class: "tick" }, box, label === "badge" && this.badge(variant));
  }
}
