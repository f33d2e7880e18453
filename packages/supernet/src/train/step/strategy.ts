// Which networks run in a step and what each learns from: the InstaTune objective and its alternatives as plain data.
import { fullSubnet, sampleSubnet, smallestSubnet } from '../../elastic/subnets.ts';
import type { ElasticSpace, SubnetConfig } from '../../elastic/types.ts';

/**
 * - `instatune`: the super-network S and M random sub-networks (Sarah 2023).
 * - `sandwich`: S, the smallest sub-network, and M random ones (Yu 2019).
 * - `random`: M random sub-networks only.
 * - `kd-only`: S distilled from the teacher, nothing elastic (the baseline that tells distillation's part of the gain).
 * - `plain`: S on the labels.
 */
export type Strategy = (typeof STRATEGIES)[number];

export const STRATEGIES = ['instatune', 'sandwich', 'random', 'kd-only', 'plain'] as const;

/** Where a pass's soft targets come from: S of the same step (detached), or the fixed teacher. */
export type SoftSource = 'self' | 'teacher';

/** One forward and backward pass of a step. */
export interface PassPlan {
  /** Absent: the super-network. */
  readonly subnet?: SubnetConfig;
  /** Factor on the cross-entropy with the labels. */
  readonly hard: number;
  /** Factor on KL(source‖this). */
  readonly soft: number;
  readonly source?: SoftSource;
  /** Later passes distil from this one's logits. */
  readonly teaches: boolean;
}

/** Weights of the objective (docs/specification/instatune.md §2). */
export interface ObjectiveOptions {
  readonly strategy: Strategy;
  /** Share of the label losses. */
  readonly alpha: number;
  /** 1: distil from the fixed teacher; 0: distil sub-networks in place from S. */
  readonly gamma: 0 | 1;
  /** Random sub-networks a step. */
  readonly subnets: number;
}

/** The objective of step `step` (from 0) of `steps`: γ `hybrid` is 1 for the first `teacherShare` of them, then 0. */
export function objectiveAt(
  step: number,
  steps: number,
  options: Omit<ObjectiveOptions, 'gamma'> & { readonly gamma: 0 | 1 | 'hybrid'; readonly teacherShare: number },
): ObjectiveOptions {
  const { strategy, alpha, subnets, gamma, teacherShare } = options;
  const now = gamma === 'hybrid' ? (step < Math.round(teacherShare * steps) ? 1 : 0) : gamma;
  return { strategy, alpha, subnets, gamma: now };
}

/**
 * Passes of one step:
 * L = α[CE(S) + Σ CE(S_i)] + (1−α)[γ·KL(S,T) + Σ((1−γ)·KL(S_i,S) + γ·KL(S_i,T))].
 * `random` with γ = 0 has no teacher and learns from the labels alone (α counts as 1).
 */
export function planStep(space: ElasticSpace, options: ObjectiveOptions, random: () => number): PassPlan[] {
  const { strategy, alpha, gamma, subnets } = options;
  const draw = () => Array.from({ length: subnets }, () => sampleSubnet(space, random));
  const fromTeacher = { hard: alpha, soft: 1 - alpha, source: 'teacher', teaches: false } as const;
  const labelsOnly = { hard: 1, soft: 0, teaches: false } as const;
  switch (strategy) {
    case 'plain':
      return [labelsOnly];
    case 'kd-only':
      return [fromTeacher];
    case 'random':
      return draw().map((subnet) => ({ subnet, ...(gamma === 1 ? fromTeacher : labelsOnly) }));
    case 'instatune':
    case 'sandwich': {
      const networks = [...(strategy === 'sandwich' ? [smallestSubnet(space)] : []), ...draw()];
      const distils = networks.length > 0 && alpha < 1;
      if (gamma === 1) return [fromTeacher, ...networks.map((subnet) => ({ subnet, ...fromTeacher }))];
      return [
        { hard: alpha, soft: 0, teaches: distils },
        ...networks.map((subnet): PassPlan => ({
          subnet,
          hard: alpha,
          soft: 1 - alpha,
          source: 'self',
          teaches: false,
        })),
      ];
    }
  }
}

/** Whether any step of these options needs the fixed teacher. */
export function needsTeacher(
  options: Pick<ObjectiveOptions, 'strategy' | 'alpha'> & { gamma: 0 | 1 | 'hybrid' },
): boolean {
  if (options.alpha === 1 || options.strategy === 'plain') return false;
  return options.strategy === 'kd-only' || options.gamma !== 0;
}

/** The sub-network of a pass, the full one where the plan says none. */
export function passSubnet(space: ElasticSpace, pass: PassPlan): SubnetConfig {
  return pass.subnet ?? fullSubnet(space);
}
