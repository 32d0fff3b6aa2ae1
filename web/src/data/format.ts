// Numbers as people read them. The units are decimal, as everywhere in plimsoll.

const missing = "–";
const thinSpace = "\u202f";

function digits(value: number, options: Intl.NumberFormatOptions): string {
  return new Intl.NumberFormat("en-GB", options).format(value).replace("-", "−").replaceAll(",", thinSpace);
}

/** `value` with so many significant digits, and never fewer than its integer part has. */
export function number(value: number | null | undefined, significant = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return missing;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4) {
    const [mantissa, exponent] = value.toExponential(Math.max(0, significant - 2)).split("e") as [string, string];
    const raised = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
    return `${mantissa.replace("-", "−")}${thinSpace}×${thinSpace}10${raised}`;
  }
  const whole = size < 1 ? 0 : Math.floor(Math.log10(size)) + 1;
  return digits(value, whole >= significant ? { maximumFractionDigits: 0 } : { minimumSignificantDigits: significant, maximumSignificantDigits: significant });
}

export function fixed(value: number, decimals: number): string {
  return digits(value, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** An integer in full: 22 016. */
export function integer(value: number | null | undefined): string {
  return value === null || value === undefined ? missing : digits(value, { maximumFractionDigits: 0 });
}

function scaled(value: number, base: number, units: readonly string[], separator = " "): string {
  let unit = 0;
  // 999.5 would be rounded to four digits.
  while (unit + 1 < units.length && Math.abs(value) >= base * 0.9995) {
    value /= base;
    ++unit;
  }
  return `${unit === 0 ? integer(value) : number(value)}${separator}${units[unit]}`.trimEnd();
}

/** "22.0 MB" */
export function bytes(value: number | null | undefined): string {
  return value === null || value === undefined ? missing : scaled(value, 1000, ["B", "kB", "MB", "GB", "TB"]);
}

/** "7.24 B", as the names of models count. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? missing : scaled(value, 1000, ["", "k", "M", "B", "T"]);
}

/** "1.23 ms" */
export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return missing;
  if (value === 0) return "0 s";
  const size = Math.abs(value);
  if (size < 0.9995e-3) return `${number(value * 1e6)} µs`;
  if (size < 0.9995) return `${number(value * 1e3)} ms`;
  if (size < 120) return `${number(value)} s`;
  return `${integer(Math.floor(value / 60))} min ${integer(Math.round(value % 60))} s`;
}

/** "12.3 %" */
export function percent(share: number | null | undefined, significant = 3): string {
  if (share === null || share === undefined) return missing;
  // 99.95 % must not become 100 %.
  const value = share * 100;
  return `${Math.abs(value) >= 100 || value === 0 ? number(value) : number(value, Math.abs(value) > 99 ? 4 : significant)} %`;
}

/** "1.84×" */
export function times(ratio: number | null | undefined): string {
  return ratio === null || ratio === undefined ? missing : `${number(ratio)}×`;
}

/**
 * "112.4 [111.9, 113.0]": with as many decimals as make two digits of the interval's width, and of
 * the value at least two significant digits.
 */
export function interval(value: number, low: number | null, high: number | null): string {
  if (low === null || high === null) return number(value);
  const spread = high - low;
  if (spread === 0) return number(value);
  const scale = Math.max(Math.abs(value), Math.abs(low), Math.abs(high));
  if (scale !== 0 && scale < 1e-3) return `${number(value, 2)} [${number(low, 2)}, ${number(high, 2)}]`;
  const ofSpread = 1 - Math.floor(Math.log10(spread));
  const ofValue = scale > 0 ? 2 - Math.floor(Math.log10(scale)) : 0;
  const decimals = Math.min(6, Math.max(0, ofSpread > ofValue + 2 ? ofValue + 2 : Math.max(ofSpread, ofValue - 1)));
  return `${fixed(value, decimals)} [${fixed(low, decimals)}, ${fixed(high, decimals)}]`;
}

/** "735 to 747": the ends of an interval, or that it is not known. */
export function range(low: number | null, high: number | null, write: (value: number) => string): string {
  return low === null || high === null ? "unknown" : `${write(low)} to ${write(high)}`;
}

/** A number for an axis: as `write` says, without zeros behind the point: 0.0200 is 0.02 there. */
export function tick(write: (value: number) => string): (value: number) => string {
  return (value) => write(value).replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "");
}

/** "21 November 2026, 14:56 UTC" */
export function moment(iso: string | null): string {
  const date = iso === null ? null : new Date(iso);
  if (date === null || Number.isNaN(date.getTime())) return iso ?? missing;
  const text = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
  }).format(date);
  return `${text.replace(" at ", ", ")} UTC`;
}

/** What the study words in the middle of a sentence, begun and ended. A flag or a file keeps its letters. */
export function sentence(text: string): string {
  return (/^[a-z]+[ ,:;']/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text) + (/[.!?]$/.test(text) || text === "" ? "" : ".");
}
