// Names beside points, without covering each other, the points, or the frame.

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface LabelledPoint {
  x: number;
  y: number;
  /** The radius of the point's symbol. */
  radius: number;
  /** Of the text. */
  width: number;
  height: number;
}

/** Where the text's middle comes to lie, and whether it is so far off that it needs a line. */
export interface Placed {
  x: number;
  y: number;
  far: boolean;
}

function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

function around(x: number, y: number, width: number, height: number): Box {
  return { left: x - width / 2, top: y - height / 2, right: x + width / 2, bottom: y + height / 2 };
}

/** Each label in turn takes the best place around its point, nearest first. */
export function placeLabels(points: readonly LabelledPoint[], frame: Box): Placed[] {
  const symbols = points.map((point) => around(point.x, point.y, 2 * point.radius, 2 * point.radius));
  const taken: Box[] = [];
  return points.map((point) => {
    let best: { place: Placed; box: Box; cost: number } | null = null;
    for (const distance of [6, 18, 30, 44, 60, 78]) {
      const across = point.radius + distance + point.width / 2;
      const along = point.radius + distance + point.height / 2 - 3;
      const places: [number, number][] = [
        [across, 0], [-across, 0], [0, -along], [0, along],
        [across * 0.8, -along], [-across * 0.8, -along], [across * 0.8, along], [-across * 0.8, along],
      ];
      for (const [dx, dy] of places) {
        const place = { x: point.x + dx, y: point.y + dy, far: distance > 18 };
        const box = around(place.x, place.y, point.width, point.height);
        const inside = overlap(box, frame);
        const outside = point.width * point.height - inside;
        const covered = [...taken, ...symbols].reduce((sum, other) => sum + overlap(box, other), 0);
        const cost = 20 * covered + 40 * outside + distance;
        if (best === null || cost < best.cost) best = { place, box, cost };
      }
      if (best && best.cost <= distance) break;
    }
    const { place, box } = best as { place: Placed; box: Box };
    taken.push(box);
    return place;
  });
}
