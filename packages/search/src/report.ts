// `@instatune/search/report`: the HTML report and the study view (install @observablehq/plot; in Node linkedom too). Runs in browsers.
export { renderReport, type ReportOptions } from './report/html.ts';
export { frontPlot, historyPlot } from './report/plots.ts';
export {
  toStudyView,
  type StudyData,
  type StudyView,
  type ViewObjective,
  type ViewTrial,
  type ViewValue,
  type ViewVariable,
} from './view/data.ts';
export { studyViewFromDatabase } from './view/from-database.ts';
export type { DatabaseViewOptions, Query } from './view/query.ts';
export { importancesOf, type Importance, type Importances } from './view/importances.ts';
export { mountStudy } from './view/mount.ts';
export type { MountedStudy, MountOptions } from './view/mounted.ts';
export { defineStudyElement, type StudyElement } from './view/element.ts';
