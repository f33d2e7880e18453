// What exported functions throw is said in their documentation, by code.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as nsga2 from '../src/index.ts';
import { Nsga2Error, ParetoArchive, Random } from '../src/index.ts';

const source = join(import.meta.dirname, '../src');
const text = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(join(source, name), 'utf8'))
  .join('\n');

/** The comment right above a declaration. */
function documentationOf(declaration: string): string {
  const at = text.indexOf(declaration);
  expect(at, declaration).toBeGreaterThan(0);
  const before = text.slice(0, at).trimEnd();
  return before.endsWith('*/') ? before.slice(before.lastIndexOf('/**')) : '';
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Nsga2Error) return error.code;
    throw error;
  }
  return 'nothing was thrown';
}

const ragged = [[1, 2], [3]];
const front = [
  [0, 1],
  [1, 0],
];
const n = nsga2;
const calls: readonly (readonly [name: keyof typeof nsga2, call: () => unknown])[] = [
  ['real', () => n.real(1, 0)],
  ['integer', () => n.integer(1, 0)],
  ['categorical', () => n.categorical([])],
  ['permutation', () => n.permutation(0)],
  ['encode', () => n.encode([n.boolean()], [])],
  ['createLayout', () => n.createLayout([])],
  ['assertGenes', () => n.assertGenes(n.createLayout([n.boolean()]), [2])],
  ['sbx', () => n.sbx({ eta: 0 })],
  ['blend', () => n.blend({ alpha: 0 })],
  ['polynomial', () => n.polynomial({ eta: 0 })],
  ['gaussian', () => n.gaussian({ deviation: 0 })],
  ['uniformCrossover', () => n.uniformCrossover({ probability: 2 })],
  ['pointCrossover', () => n.pointCrossover({ points: 0 })],
  ['randomReset', () => n.randomReset({ rate: 2 })],
  ['step', () => n.step({ size: 0 })],
  ['geometricStep', () => n.geometricStep({ mean: 0 })],
  ['mixedMutation', () => n.mixedMutation([])],
  ['orderCrossover', () => n.orderCrossover({ probability: 2 })],
  ['partiallyMappedCrossover', () => n.partiallyMappedCrossover({ probability: 2 })],
  ['swapMutation', () => n.swapMutation({ rate: 2 })],
  ['inversionMutation', () => n.inversionMutation({ rate: 2 })],
  ['insertionMutation', () => n.insertionMutation({ rate: 2 })],
  ['nonDominatedSort', () => n.nonDominatedSort(ragged)],
  ['paretoFront', () => n.paretoFront(ragged)],
  ['crowdingDistance', () => n.crowdingDistance(ragged)],
  ['dasDennis', () => n.dasDennis(0, 1)],
  ['twoLayerDirections', () => n.twoLayerDirections(0, 1, 1)],
  ['partitionsFor', () => n.partitionsFor(0, 1)],
  ['hypervolume', () => n.hypervolume(front, [])],
  ['generationalDistance', () => n.generationalDistance([], front)],
  ['generationalDistancePlus', () => n.generationalDistancePlus([], front)],
  ['invertedGenerationalDistance', () => n.invertedGenerationalDistance([], front)],
  ['invertedGenerationalDistancePlus', () => n.invertedGenerationalDistancePlus([], front)],
  ['additiveEpsilon', () => n.additiveEpsilon([], front)],
  ['spacing', () => n.spacing([])],
  ['spread', () => n.spread([], front)],
  ['kneePoint', () => n.kneePoint([])],
  ['tradeOffs', () => n.tradeOffs([])],
  ['pseudoWeights', () => n.pseudoWeights([])],
  ['chooseByWeights', () => n.chooseByWeights(front, [])],
  ['chooseWithin', () => n.chooseWithin(front, [], 0)],
  ['zdt', () => n.zdt(5 as never)],
  ['dtlz', () => n.dtlz(8 as never)],
];

describe('documentation', () => {
  it.each(calls)('%s says what it throws', (name, call) => {
    expect(documentationOf(`export function ${name}`)).toContain(`@throws Nsga2Error \`${codeOf(call)}\``);
  });

  it.each([
    ['constructor(capacity', () => new ParetoArchive(0)],
    ['constructor(seed', () => new Random(Number.NaN)],
    ['static fromJSON(state: ReturnType', () => ParetoArchive.fromJSON({} as never)],
    ['static fromJSON(state: RandomState', () => Random.fromJSON({} as never)],
    ['constructor(problem: Problem, options: Nsga2Options', () => new n.Nsga2(n.zdt(1), { populationSize: 0 })],
    ['constructor(problem: Problem, options: Nsga3Options', () => new n.Nsga3(n.zdt(1), { populationSize: 0 })],
    [
      'static fromJSON(state: EngineState, problem: Problem, options: Pick<Nsga2',
      () => n.Nsga2.fromJSON({} as never, n.zdt(1)),
    ],
    [
      'static fromJSON(state: EngineState, problem: Problem, options: Pick<Nsga3',
      () => n.Nsga3.fromJSON({} as never, n.zdt(1)),
    ],
    ['ask(count', () => new n.Nsga2(n.zdt(1)).ask(-1)],
    ['integer(lower: number, upper: number): number', () => new Random().integer(1, 0)],
  ])('%s… says what it throws', (declaration, call) => {
    expect(documentationOf(declaration)).toContain(`@throws Nsga2Error \`${codeOf(call)}\``);
  });

  it('the runs say it all', () => {
    const said = documentationOf('export async function* evolve');
    for (const code of [
      'invalid-option',
      'invalid-problem',
      'invalid-variable',
      'invalid-genes',
      'invalid-state',
      'invalid-evaluation',
      'aborted',
    ]) {
      expect(said).toContain(`\`${code}\``);
    }
    expect(documentationOf('export async function minimize')).toContain('@throws Nsga2Error as {@link evolve}');
  });
});
