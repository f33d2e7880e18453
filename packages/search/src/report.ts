// `@instatune/search/report`: the HTML report (brings Observable Plot and linkedom).
export { renderReport, shortNumber, type ReportOptions } from './report/html.ts';
