// Where kernels stand under the roofline (Williams, Waterman and Patterson, 2009).
import type { Kernel } from "../results";

export interface RooflinePoint {
  kernel: Kernel;
  /** Of the kernel, with the part of the model where it works in several. */
  name: string;
  /** Operations a byte. */
  x: number;
  /** Gop/s. */
  y: number;
}

/** Kernels that count both bytes and operations; the others have no place under a roofline. */
export function rooflinePoints(kernels: readonly Kernel[]): RooflinePoint[] {
  const several = (name: string) => kernels.filter((kernel) => kernel.name === name).length > 1;
  return kernels.flatMap((kernel) => {
    const { bytes, operations, seconds } = kernel;
    if (!bytes || !operations || !(seconds > 0)) return [];
    const name = several(kernel.name) ? `${kernel.name} (${kernel.part})` : kernel.name;
    return [{ kernel, name, x: operations / bytes, y: kernel.gops ?? operations / seconds / 1e9 }];
  });
}

const powerBelow = (value: number) => 10 ** Math.floor(Math.log10(value));

/** A range from a power of ten on that holds the points and the ridges where slope and roofs meet. */
export function rooflineRange(points: readonly RooflinePoint[], readGbps: number, roofs: readonly number[]): { x: [number, number]; y: [number, number] } {
  const ridges = roofs.map((gops) => gops / readGbps);
  const xs = [...points.map((point) => point.x), ...ridges];
  const ys = [...points.map((point) => point.y), ...roofs];
  return {
    x: [powerBelow(Math.min(...xs)), Math.max(...xs) * 4],
    y: [powerBelow(Math.min(...ys)), Math.max(...ys) * 2],
  };
}
