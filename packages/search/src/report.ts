// `@instatune/search/report`: the HTML report (install @observablehq/plot and linkedom beside it).
export { renderReport, type ReportOptions } from './report/html.ts';
export { frontPlot, historyPlot } from './report/plots.ts';
