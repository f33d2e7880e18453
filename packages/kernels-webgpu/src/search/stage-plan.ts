// What the planners of a stage's passes are given.
import type { SearchStage } from '@hip/mask-search';
import type { Budget } from './code/budgets.ts';
import type { CandidateSource } from './code/candidates.ts';
import type { SearchConstants } from './code/shape.ts';
import type { SearchRequest } from './plan.ts';
import type { Slab } from './slabs.ts';

/** One stage of one slab. */
export interface StagePlan<S extends SearchStage> {
  readonly request: SearchRequest;
  readonly constants: SearchConstants;
  readonly slab: Slab;
  readonly stage: S;
  readonly index: number;
  readonly source: CandidateSource;
  readonly budget: Budget;
  /** Candidates of a cell at most. */
  readonly candidates: number;
  readonly cells: number;
  /** Workgroups on the z axis: one for each batch element and mask head. */
  readonly z: number;
  /** What the stage before left. */
  readonly links: readonly string[];
}
