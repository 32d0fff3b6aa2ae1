// Which variants nothing else beats in both of two figures.

export interface Point {
  x: number;
  y: number;
}

export type Direction = "higher" | "lower";

/**
 * The points that no other point is at least as good as in both figures and better in one, in
 * rising order of x. Of points that are equal in both, the first stands for all.
 */
export function paretoFront<T extends Point>(points: readonly T[], better: { x: Direction; y: Direction }): T[] {
  const gain = (a: number, b: number, direction: Direction) => (direction === "higher" ? a - b : b - a);
  const beats = (a: T, b: T) => {
    const x = gain(a.x, b.x, better.x);
    const y = gain(a.y, b.y, better.y);
    return x >= 0 && y >= 0 && (x > 0 || y > 0);
  };
  return points
    .filter((point, i) => !points.some((other, j) => beats(other, point) || (j < i && other.x === point.x && other.y === point.y)))
    .sort((a, b) => a.x - b.x);
}

/** The front as the corners of a staircase: between two points, what is reached is the worse of both. */
export function staircase(front: readonly Point[], better: { x: Direction; y: Direction }): [number, number][] {
  const corners: [number, number][] = [];
  front.forEach((point, i) => {
    const next = front[i + 1];
    corners.push([point.x, point.y]);
    // Where more x is better, a point's y is reached for every smaller x: the step lies at the point
    // itself; where less is better, at the next one.
    if (next) corners.push(better.x === "higher" ? [point.x, next.y] : [next.x, point.y]);
  });
  return corners;
}
