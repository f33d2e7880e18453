// The public face of @instatune/nsga2.
export { Nsga2Error, type Nsga2ErrorCode } from './errors.ts';
export { Random, type RandomState } from './random.ts';
export * from './variables.ts';
export { axisOf, type Axis } from './axes.ts';
export { activeVariables } from './conditions.ts';
export {
  constraintViolation,
  EQUALITY_TOLERANCE,
  type Evaluation,
  type EvaluationContext,
  type EvaluationResult,
  type FailedEvaluation,
  type Genes,
  type Problem,
} from './problem.ts';
export {
  assertGenes,
  createLayout,
  sampleUniform,
  type EvenLayout,
  type GeneGroup,
  type GeneLayout,
} from './layout.ts';
export type { Crossover, Mutation, MutationContext, OperatorPair, Operators } from './operators/operator.ts';
export * from './operators/real.ts';
export * from './operators/discrete.ts';
export * from './operators/permutation.ts';
export { defaultOperators, type OperatorOverrides } from './operators/defaults.ts';
export type { Points } from './sorting/points.ts';
export { nonDominatedSort, type NonDominatedSort } from './sorting/non-dominated-sort.ts';
export { dominates, paretoFront } from './sorting/dominance.ts';
export { crowdingDistance } from './sorting/crowding.ts';
export { ParetoArchive, type ArchiveEntry } from './archive.ts';
export type { Crowding } from './survival/nsga2.ts';
export { dasDennis, partitionsFor, twoLayerDirections } from './survival/reference-directions.ts';
export type { Individual } from './engine/population.ts';
export type { Sampler } from './engine/mating.ts';
export type { Duplicates, EngineOptions, Nsga2Options } from './engine/options.ts';
export { Evolution } from './engine/evolution.ts';
export type { Candidate, Told } from './engine/slots.ts';
export type { Snapshot } from './engine/snapshot.ts';
export type { EngineState, SavedCandidate, SavedIndividual, SavedVariable } from './engine/state.ts';
export { Nsga2 } from './engine/nsga2.ts';
export { Nsga3, Unsga3, type Nsga3Options } from './engine/nsga3.ts';
export { SmsEmoa } from './engine/sms-emoa.ts';
export { evolve, minimize, type MinimizeOptions, type MinimizeResult, type Termination } from './run/minimize.ts';
export type { Generation, RunState } from './run/generation.ts';
export type { EvolveOptions } from './run/options.ts';
export { Breath, type BreathOptions } from './run/breath.ts';
export type { OnEvaluationError } from './run/evaluate.ts';
export type { StagnationOptions, StagnationState } from './run/termination.ts';
export { hypervolume } from './indicators/hypervolume.ts';
export { hypervolumeContributions } from './indicators/contributions.ts';
export {
  generationalDistance,
  generationalDistancePlus,
  invertedGenerationalDistance,
  invertedGenerationalDistancePlus,
  additiveEpsilon,
} from './indicators/distance.ts';
export { spacing, spread } from './indicators/spread.ts';
export { chooseByWeights, chooseWithin, kneePoint, pseudoWeights, tradeOffs } from './decision/choose.ts';
export { latinHypercube } from './engine/samplers.ts';
export type { ConstrainedTestProblem, TestProblem } from './problems/test-problem.ts';
export { zdt } from './problems/zdt.ts';
export { dtlz, type DtlzOptions } from './problems/dtlz.ts';
export { wfg, type WfgOptions, type WfgProblem } from './problems/wfg.ts';
export { constrainedDtlz, type ConstrainedDtlz } from './problems/constrained-dtlz.ts';
export { mw, type MwOptions } from './problems/mw.ts';
export { bnh, osy, srn, tnk } from './problems/constrained.ts';
export { bertSynth, type BertSynth, type BertSynthOptimum } from './problems/bert-synth.ts';
