// The names of a scatter's points as a series: one mark that draws them all, so that they can keep
// out of each other's way.
import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams } from "echarts";
import { placeLabels, type Box } from "../data/labels";
import type { Page } from "../page";
import type { Series } from "./echarts";
import { font, fontSize } from "./figure";

export interface Named {
  name: string;
  x: number;
  y: number;
  radius: number;
}

export function labelSeries(page: Page, points: Named[]): Series {
  const { ink, soft, background } = page.theme;
  const [first] = points;
  const renderItem = (parameters: CustomSeriesRenderItemParams, api: CustomSeriesRenderItemAPI) => {
    const area = parameters.coordSys as unknown as { x: number; y: number; width: number; height: number };
    const frame: Box = { left: area.x, top: area.y, right: area.x + area.width, bottom: area.y + area.height };
    const at = points.map(({ name, x, y, radius }) => {
      const [px = 0, py = 0] = api.coord([x, y]);
      return { x: px, y: py, radius, width: 7 * name.length, height: fontSize + 3 };
    });
    return {
      type: "group",
      children: placeLabels(at, frame).flatMap((place, i) => {
        const from = at[i];
        const text = {
          type: "text",
          style: { text: points[i]?.name, x: place.x, y: place.y, align: "center", verticalAlign: "middle", fill: ink, font, stroke: background, lineWidth: 3 },
        };
        if (!place.far || !from) return [text];
        return [{ type: "line", shape: { x1: from.x, y1: from.y, x2: place.x, y2: place.y + Math.sign(from.y - place.y) * 8 }, style: { stroke: soft, lineWidth: 0.8 } }, text];
      }),
    };
  };
  return { id: "names", type: "custom", silent: true, z: 6, renderItem, data: first ? [[first.x, first.y]] : [] };
}
