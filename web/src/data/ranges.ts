// What an axis spans.

/** A range that holds the values with some air; from zero where that hides no difference. */
export function fittedRange(low: number, high: number, air: number): [number, number] {
  if (low >= 0 && low < 0.5 * high) return [0, high * (1 + air)];
  const width = high - low || Math.abs(high) * 0.1 || 1;
  return [low - air * width, high + air * width];
}
