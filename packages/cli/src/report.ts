// `@instatune/cli/report`: a run's report and model card as text.
export { modelCard, type CardOptions } from './report/card.ts';
export { renderTuneReport, type Reported, type ReportedFile } from './report/html.ts';
