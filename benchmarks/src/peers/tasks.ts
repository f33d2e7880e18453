// The tasks of the peers' table: the same functions as benchmarks/peers/tasks.py, and what their hypervolume is measured against.
import { bertSynth as exactBertSynth, dtlz, hypervolume, wfg, zdt, type TestProblem } from '@instatune/nsga2';
import { bertSynth, Space, type SearchProblem } from '@instatune/search';
import { sharedPath } from '@hip/testing';
import { ofaProblem, readOfa } from '../../../packages/search/test/fixtures/ofa.ts';
import { hatProblem } from './hat.ts';

/** A task: its problem, and minimised objectives in the order of the files that runs leave behind. */
export interface PeerTask {
  readonly name: string;
  readonly problem: SearchProblem;
  /** Objectives by name, in order; all minimised, maximised ones negated. */
  readonly order: readonly string[];
  /** Hypervolume reference, minimised. */
  readonly reference: readonly number[];
  /** Hypervolume of the exact front, where it is known: cells are shares of it, else of the best that any run found. */
  readonly whole?: number;
}

/** An expensive black box: nothing is known of its objectives but what is measured. */
function blackBox(problem: TestProblem, name: string, reference: readonly number[]): PeerTask {
  const { variables, objectives } = problem;
  const order = Array.from({ length: objectives }, (_, k) => `f${k}`);
  const evaluate = (genes: readonly number[]) => problem.evaluate(genes);
  return {
    name,
    order,
    reference,
    problem: {
      name,
      space: variables,
      objectives: order.map((objective) => ({ name: objective, kind: 'measured' })),
      measure: (genes) => Object.fromEntries(Array.from(evaluate(genes), (value, k) => [order[k]!, value])),
    },
    whole: hypervolume(problem.front(objectives === 2 ? 20_000 : 3000), reference),
  };
}

const BLACK_BOXES: Readonly<Record<string, () => PeerTask>> = {
  ZDT1: () => blackBox(zdt(1), 'ZDT1', [1.1, 4]),
  ZDT3: () => blackBox(zdt(3), 'ZDT3', [1.1, 4]),
  ZDT4: () => blackBox(zdt(4), 'ZDT4', [1.1, 160]),
  ZDT6: () => blackBox(zdt(6), 'ZDT6', [1.1, 8.5]),
  DTLZ2: () => blackBox(dtlz(2), 'DTLZ2', [2, 2, 2]),
  DTLZ7: () => blackBox(dtlz(7), 'DTLZ7', [1.1, 1.1, 18]),
  WFG4: () => blackBox(wfg(4, { objectives: 2 }), 'WFG4', [3, 5]),
  WFG9: () => blackBox(wfg(9, { objectives: 2 }), 'WFG9', [3, 5]),
};

const needed = (...parts: string[]): string => {
  const path = sharedPath('data', 'nas', ...parts);
  if (path === undefined)
    throw new Error(`no ../shared/data/nas/${parts.join('/')}: its tables are not part of this repository`);
  return path;
};

const MAKERS: Readonly<Record<string, () => PeerTask>> = {
  'BERT-synth': () => {
    const exact = exactBertSynth();
    const reference = [...exact.reference];
    return {
      name: 'BERT-synth',
      problem: bertSynth(),
      order: ['macs', 'accuracy'],
      reference,
      whole: hypervolume(exact.front(), reference),
    };
  },
  'OFA-MobileNetV3': () => ({
    name: 'OFA-MobileNetV3',
    problem: ofaProblem(readOfa(needed('dynas-t'))),
    order: ['top1', 'macs'],
    reference: [-70, 600],
  }),
  'HAT cpu_xeon': () => ({
    name: 'HAT cpu_xeon',
    problem: hatProblem(needed('hat'), 'cpu_xeon'),
    order: ['latency', 'parameters'],
    reference: [450, -10],
  }),
  'HAT gpu_titanxp': () => ({
    name: 'HAT gpu_titanxp',
    problem: hatProblem(needed('hat'), 'gpu_titanxp'),
    order: ['latency', 'parameters'],
    reference: [300, -10],
  }),
  ...BLACK_BOXES,
};

const made = new Map<string, PeerTask>();

/** Every task by name; made once, when asked for. References lie about where the mean random candidate does. */
export const PEER_TASKS: Readonly<Record<string, () => PeerTask>> = Object.fromEntries(
  Object.entries(MAKERS).map(([name, make]) => [
    name,
    () => {
      const task = made.get(name) ?? make();
      made.set(name, task);
      return task;
    },
  ]),
);

/** Objectives of a trial in the task's order, minimised. */
export function minimisedOf({ problem, order }: PeerTask, values: Readonly<Record<string, number>>): number[] {
  return order.map((name) => {
    const objective = problem.objectives.find((each) => each.name === name)!;
    return (objective.direction === 'maximize' ? -1 : 1) * values[name]!;
  });
}

/** Measures genes as a run would, computed objectives included. */
export async function measureTask(task: PeerTask, genes: readonly number[]): Promise<number[]> {
  const space = new Space(task.problem);
  const context = { seed: 0, split: 'search', number: 0, signal: new AbortController().signal, report: async () => {} };
  const values: Record<string, number> = {
    ...space.exact(genes),
    ...(await task.problem.measure?.(genes, context)),
  };
  for (const objective of space.measured) {
    if (values[objective.name] === undefined) values[objective.name] = await objective.evaluate!(genes, context);
  }
  return minimisedOf(task, values);
}
