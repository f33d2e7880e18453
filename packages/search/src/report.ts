// `@instatune/search/report`: the HTML report (brings Observable Plot and linkedom).
export { renderReport, type ReportOptions } from './report/html.ts';
