// The public face of @instatune/search: what runs anywhere. Files, threads: ./node. Queues: ./queue. HTML: ./report.
export { SearchError, messageOf, type SearchErrorCode } from './errors.ts';
export { nearest } from './nearest.ts';
export { TrialStopped } from './problem.ts';
export type {
  Attribute,
  ExactObjective,
  MeasureContext,
  MeasuredConstraint,
  MeasuredObjective,
  Objective,
  SearchProblem,
} from './problem.ts';
export { Space, checkProblem, problemFingerprint } from './space.ts';
export {
  parseConstraint,
  resolveConstraint,
  violation,
  totalViolation,
  type Bound,
  type Constraint,
} from './constraints.ts';
export { runSearch, resume } from './run/run-search.ts';
export type { ResumeOptions } from './run/opening.ts';
export type { EarlyStoppingOptions } from './run/stopping.ts';
export type { Proposals, RunOptions, SearchOptions } from './run/options.ts';
export type { FrontPoint, HistoryPoint, SearchProgress, SearchResult } from './run/progress.ts';
export { resultOf } from './run/result.ts';
export { repeated, type RepeatOptions } from './noise/repeated.ts';
export { frontProbabilities, nonDominatedProbabilities, type UncertainPoint } from './noise/uncertainty.ts';
export { viewOf } from './run/study-view.ts';
export { pick, type Choice, type PickOptions, type PickSource } from './run/pick.ts';
export { Study } from './study/study.ts';
export type { StudyHeader } from './study/header.ts';
export type { StudyChanges, StudyContents, StudyJournal, StudySharing } from './study/storage.ts';
export {
  isComplete,
  isDone,
  type Candidate,
  type CompleteTrial,
  type IntermediateValues,
  type RoundInfo,
  type Trial,
  type TrialOutcome,
  type TrialReport,
  type TrialStatus,
} from './study/trial.ts';
export { candidateText } from './study/labels.ts';
export { shortNumber } from './report/format.ts';
export { studyToCsv, studyToJson } from './study/export.ts';
export { type GivenCandidate } from './given/candidate.ts';
export { type KnownMeasurement, type KnownMeasurements } from './given/known.ts';
export type { WarmStart, WarmStartOptions } from './warm-start.ts';
export type { Evaluation, EvaluateOptions, EvaluationJob, Evaluator, OnReport } from './evaluate/evaluator.ts';
export { inProcess } from './evaluate/in-process.ts';
export { measureCandidate } from './evaluate/measure.ts';
export { measureLatency, type Latency, type LatencyOptions } from './measure/latency.ts';
export { linas, type LinasOptions } from './tactics/linas.ts';
export { PREDICTOR_NAMES, type PredictorChoice, type PredictorName } from './tactics/predictor.ts';
export { featuresOf } from './tactics/features.ts';
export { nsga2, type Nsga2TacticOptions } from './tactics/nsga2.ts';
export { random } from './tactics/random.ts';
export { successive, type SuccessiveOptions } from './tactics/successive.ts';
export { TACTIC_NAMES, createTactic, isTacticName, type TacticName } from './tactics/create.ts';
export type { Proposal, ProposeContext, Tactic } from './tactics/tactic.ts';
export { bertSynth } from './problems/bert-synth.ts';
