// Elements made from data. Text always becomes a text node: what a model wrote or a file is called
// can never turn into markup.

export type Child = Node | string | number | null | undefined | false;

type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;

function fill(element: Element, attributes: Attributes, children: Child[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) element.append(child instanceof Node ? child : String(child));
  }
}

/** A value that is a function listens to the event of that name. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

export function svg(tag: string, attributes: Attributes = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, attributes, children);
  return element;
}

/** A wide thing that scrolls in its own box, with the keyboard, too. */
export function scrollable(label: string, ...children: Child[]): HTMLElement {
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);
}

export interface Table {
  columns: string[];
  rows: Child[][];
}

/** A plain table; the first column names the rows, numbers stand right. */
export function table({ columns, rows }: Table, caption: string): HTMLElement {
  const numeric = columns.map((_, i) => i > 0 && rows.every((row) => !(row[i] instanceof Node) && /^[−\d–[]/.test(String(row[i] ?? "–"))));
  const side = (i: number) => (numeric[i] ? "number" : null);
  return scrollable(
    caption,
    el(
      "table",
      {},
      el("caption", { class: "unseen" }, caption),
      el("thead", {}, el("tr", {}, ...columns.map((column, i) => el("th", { scope: "col", class: side(i) }, column)))),
      el(
        "tbody",
        {},
        ...rows.map((row) =>
          el("tr", {}, ...row.map((cell, i) => (i === 0 ? el("th", { scope: "row" }, cell) : el("td", { class: side(i) }, cell ?? "–")))),
        ),
      ),
    ),
  );
}

/** Opens on a click or the Enter key; closed it takes one line. */
export function details(summary: string, ...children: Child[]): HTMLDetailsElement {
  return el("details", {}, el("summary", {}, summary), ...children);
}

/** A choice of one among a few, as radio buttons. */
export function choice<T extends string>(
  legend: string,
  options: readonly { value: T; label: string }[],
  chosen: T,
  choose: (value: T) => void,
): HTMLElement {
  const name = `choice-${++choices}`;
  return el(
    "fieldset",
    { class: "choice" },
    el("legend", {}, legend),
    ...options.map(({ value, label }) =>
      el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen, change: () => choose(value) }), el("span", {}, label)),
    ),
  );
}
let choices = 0;
