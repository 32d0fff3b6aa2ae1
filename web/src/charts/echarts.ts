// The parts of ECharts that the page draws with: nothing else is bundled.
import { BarChart, CustomChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { LabelLayout } from "echarts/features";
import { SVGRenderer } from "echarts/renderers";

echarts.use([
  BarChart, CustomChart, LineChart, ScatterChart, GridComponent, LegendComponent, MarkLineComponent,
  TooltipComponent, LabelLayout, SVGRenderer,
]);

export { echarts };
export type Option = echarts.EChartsCoreOption;
export type Series = Record<string, unknown>;
