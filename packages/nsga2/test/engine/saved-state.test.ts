// Saved runs that are damaged, of another version or of another problem: refused by name, never run on.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assertGenes,
  boolean,
  categorical,
  createLayout,
  dtlz,
  integer,
  minimize,
  Nsga2,
  Nsga2Error,
  Nsga3,
  ParetoArchive,
  permutation,
  Random,
  real,
  repeat,
  SmsEmoa,
  Unsga3,
  type EngineState,
  type Evolution,
  type Problem,
  type RunState,
  type Told,
  type Variable,
} from '../../src/index.ts';

const mixed: Problem = {
  variables: [real(-1, 1), integer(2, 9), categorical(['a', 'b', 'c']), boolean(), permutation(3)],
  objectives: 2,
  inequality: 1,
  evaluate: ([x = 0, n = 0, c = 0]) => ({ objectives: [x + n, (1 - x) * c - n], inequality: [n - 8] }),
};

/** A run stopped in the middle of its third generation, one candidate of which failed. */
function halfway<E extends Evolution>(engine: E): E {
  for (let told = 0; told < 27; told++) {
    const [candidate] = engine.ask(1);
    const { id, genes } = candidate!;
    const result = engine.problem.evaluate(genes, { id, signal: new AbortController().signal });
    const told: Told = Array.isArray(result)
      ? { id, objectives: result as number[] }
      : ({ ...(result as object), id } as Told);
    engine.tell(id === 25 ? { id, failed: true } : told);
  }
  return engine;
}

type Json = Record<string, unknown>;
const json = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const runs: readonly (readonly [string, Problem, () => EngineState, (state: EngineState) => Evolution])[] = [
  [
    'NSGA-II with history and archive',
    mixed,
    () => halfway(new Nsga2(mixed, { populationSize: 10, seed: 1, duplicates: 'history', archive: true })).toJSON(),
    (state) => Nsga2.fromJSON(state, mixed),
  ],
  [
    'NSGA-II with a bounded archive',
    mixed,
    () => halfway(new Nsga2(mixed, { populationSize: 10, offspring: 8, archive: { capacity: 2 } })).toJSON(),
    (state) => Nsga2.fromJSON(state, mixed),
  ],
  [
    'NSGA-III',
    dtlz(2, { variables: 4 }),
    () => halfway(new Nsga3(dtlz(2, { variables: 4 }), { populationSize: 10, seed: 1 })).toJSON(),
    (state) => Nsga3.fromJSON(state, dtlz(2, { variables: 4 })),
  ],
  [
    'U-NSGA-III',
    dtlz(2, { variables: 4 }),
    () => halfway(new Unsga3(dtlz(2, { variables: 4 }), { populationSize: 10, seed: 1 })).toJSON(),
    (state) => Unsga3.fromJSON(state, dtlz(2, { variables: 4 })),
  ],
  [
    'SMS-EMOA',
    mixed,
    () => halfway(new SmsEmoa(mixed, { populationSize: 10 })).toJSON(),
    (state) => SmsEmoa.fromJSON(state, mixed),
  ],
];

/** Paths to every value of a JSON text, lists by their first and last element. */
function pathsOf(text: string): string[][] {
  const paths: string[][] = [];
  const walk = (value: unknown, path: string[]): void => {
    if (path.length > 0) paths.push(path);
    if (Array.isArray(value)) {
      for (const index of new Set([0, value.length - 1])) if (index >= 0) walk(value[index], [...path, String(index)]);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) walk(item, [...path, key]);
    }
  };
  walk(JSON.parse(text), []);
  return paths;
}

function damaged(text: string, path: readonly string[], junk: unknown): EngineState {
  const state = JSON.parse(text) as EngineState;
  let at = state as unknown as Json;
  for (const key of path.slice(0, -1)) at = at[key] as Json;
  at[path.at(-1)!] = junk;
  return state;
}

/** The error it throws. */
function errorOf(run: () => unknown): Nsga2Error {
  try {
    run();
  } catch (error) {
    if (error instanceof Nsga2Error) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** What it loads; undefined where it is refused by the name of a field. */
function loaded(load: () => Evolution): Evolution | undefined {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof Nsga2Error) || error.code !== 'invalid-state') throw error;
    if (typeof error.details['field'] !== 'string') throw error;
    return undefined;
  }
}

const JUNK = [undefined, null, 'x', '1', -7, 1.5, 1e9, [], [null], {}, true, false];

describe.each(runs)('a saved run: %s', (_, problem, save, load) => {
  const text = JSON.stringify(save());
  const layout = createLayout(problem.variables);

  it('undamaged, is read and saved again', () => {
    expect(JSON.stringify(load(JSON.parse(text)))).toBe(text);
  });

  it('damaged anywhere, is refused by name or goes on with valid genes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...pathsOf(text)), fc.constantFrom(...JUNK), (path, junk) => {
        const engine = loaded(() => load(damaged(text, path, junk)));
        if (!engine) return;
        for (const { genes } of engine.population) assertGenes(layout, genes);
        const asked = engine.ask();
        for (const { genes } of asked) assertGenes(layout, genes);
        const objectives = Array.from({ length: problem.objectives }, () => 1);
        const inequality = Array.from({ length: problem.inequality ?? 0 }, () => 0);
        engine.tell(asked.map(({ id }) => ({ id, objectives, inequality })));
        expect(engine.betweenGenerations).toBe(true);
      }),
      { numRuns: 600 },
    );
  });

  it('without any one of its fields, is refused', () => {
    for (const path of pathsOf(text)) {
      if (/^\d+$/.test(path.at(-1)!) || path.join('.') === 'candidates') continue;
      // A candidate without an outcome is one that is asked again: the count of evaluations tells.
      expect(errorOf(() => load(damaged(text, path, undefined)))).toMatchObject({ code: 'invalid-state' });
    }
  });
});

describe('what is refused, and by which name', () => {
  const text = JSON.stringify(runs[0]![2]());
  const field = (path: readonly string[], junk: unknown) =>
    errorOf(() => Nsga2.fromJSON(damaged(text, path, junk), mixed)).details['field'];

  it.each<[readonly string[], unknown, string]>([
    [['format'], 'other', 'format'],
    [['version'], 1, 'version'],
    [['version'], 3, 'version'],
    [['generation'], 'x', 'generation'],
    [['generation'], 90, 'nextId'],
    [['population'], undefined, 'population'],
    [['population', '0', 'genes'], [], 'population[0].genes'],
    [['population', '0', 'genes', '0'], null, 'population[0].genes[0]'],
    [['population', '0', 'genes', '0'], 1e9, 'population[0].genes'],
    [['population', '0', 'genes', '4'], 2, 'population[0].genes'],
    [['population', '0', 'objectives'], [1], 'population[0].objectives'],
    [['candidates', '9', 'genes', '0'], 7, 'candidates[9].genes'],
    [['random', 'words'], [0, 0, 0, 0], 'random'],
    [['options', 'operators'], undefined, 'options.operators'],
    [['archive'], {}, 'archive.capacity'],
    [['archive', 'entries', '0', 'objectives'], [1e9, 1e9], 'archive.entries[0].objectives'],
    [['history'], undefined, 'history'],
    [['history', '0'], [], 'history[0]'],
  ])('%j as %j', (path, junk, expected) => {
    expect(field(path, junk)).toBe(expected);
  });

  it('an id twice', () => {
    const { population } = JSON.parse(text) as EngineState;
    expect(field(['population', '0', 'id'], population[1]!.id)).toBe('population[1].id');
  });

  it('surplus and missing individuals', () => {
    const state = JSON.parse(text) as { population: unknown[] };
    const population = [...state.population, state.population[0]];
    expect(field(['population'], population)).toBe('population');
    expect(field(['population'], state.population.slice(1))).toBe('population');
  });

  it('what is no state at all', () => {
    for (const value of [undefined, null, 7, 'text', [], {}]) {
      expect(errorOf(() => Nsga2.fromJSON(value as never, mixed)).code).toBe('invalid-state');
      expect(errorOf(() => Nsga3.fromJSON(value as never, mixed)).code).toBe('invalid-state');
      expect(errorOf(() => ParetoArchive.fromJSON(value as never)).code).toBe('invalid-state');
    }
    expect(errorOf(() => Random.fromJSON({ algorithm: 'sfc32', words: [0, 0, 0, 0] })).code).toBe('invalid-state');
  });

  it('a state of version 1, saying what to do', () => {
    const { message } = errorOf(() => Nsga2.fromJSON(damaged(text, ['version'], 1), mixed));
    expect(message).toBe(
      'version of the saved run is 1, not 2: start again, or resume it with the release that saved it (1 does not hold the variables)',
    );
  });
});

describe('a saved run of another problem', () => {
  const [x, n, c, b, p] = mixed.variables as [Variable, Variable, Variable, Variable, Variable];
  const state = runs[0]![2]();
  it.each<[string, Partial<Problem>, string]>([
    ['other real bounds', { variables: [real(-10, 10), n, c, b, p] }, 'problem.variables[0].lower'],
    ['other integer bounds', { variables: [x, integer(2, 8), c, b, p] }, 'problem.variables[1].upper'],
    ['another type', { variables: [x, real(2, 9), c, b, p] }, 'problem.variables[1].type'],
    ['more categories', { variables: [x, n, categorical(4), b, p] }, 'problem.variables[2].count'],
    ['integers for a boolean', { variables: [x, n, c, integer(0, 1), p] }, 'problem.variables[3].type'],
    ['genes for a permutation', { variables: [x, n, c, b, ...repeat(integer(0, 2), 3)] }, 'problem.variables'],
    ['more objectives', { objectives: 3 }, 'problem.objectives'],
    ['other constraints', { inequality: 2 }, 'problem.inequality'],
    ['equality constraints', { equality: 1 }, 'problem.equality'],
  ])('%s', (_, changes, expected) => {
    const error = errorOf(() => Nsga2.fromJSON(state, { ...mixed, ...changes }));
    expect(error).toMatchObject({ code: 'invalid-state', details: { field: expected } });
    expect(error.message).toMatch(/: resume with the problem that was saved$/);
  });

  it('other names and categories by other values are the same problem', () => {
    const renamed = { ...mixed, variables: [real(-1, 1, 'share'), n, categorical(['x', 'y', 'z']), b, p] };
    expect(Nsga2.fromJSON(state, renamed).generation).toBe(2);
  });

  it('is not evaluated by minimize', async () => {
    const problem = (lower: number, upper: number): Problem => ({
      variables: repeat(real(lower, upper), 2),
      objectives: 2,
      evaluate: ([a = 0, d = 0]) => [a + d, a - d],
    });
    const first = await minimize(problem(-10, 10), { populationSize: 8, maxGenerations: 2 });
    const resume = json(first.state());
    await expect(minimize(problem(0, 1), { maxGenerations: 4, resume })).rejects.toMatchObject({
      code: 'invalid-state',
      message: 'problem.variables[0].lower of the saved run is -10, not 0: resume with the problem that was saved',
    });
  });
});

describe('minimize', () => {
  const line: Problem = { variables: [real(0, 1)], objectives: 2, evaluate: ([a = 0]) => [a, 1 - a] };

  it('refuses damage around the engine, too', async () => {
    const result = await minimize(line, { populationSize: 6, maxGenerations: 3, stagnation: true });
    const text = JSON.stringify(result.state());
    const outside = pathsOf(text).filter(([first, ...rest]) => first !== 'engine' || rest.length === 0);
    const accepted: string[] = [];
    for (const path of outside) {
      for (const junk of ['x', -7, {}, [null], true]) {
        const resume = damaged(text, path, junk) as unknown as RunState;
        await minimize(line, { maxGenerations: 3, stagnation: true, resume }).then(
          () => accepted.push(`${path.join('.')} = ${JSON.stringify(junk)}`),
          (error: unknown) => expect(error).toMatchObject({ code: 'invalid-state' }),
        );
      }
    }
    // Any finite reference point is one.
    expect(accepted).toEqual(['stagnation.reference.0 = -7', 'stagnation.reference.1 = -7']);
    await expect(minimize(line, { maxGenerations: 3, resume: {} as never })).rejects.toMatchObject({
      code: 'invalid-state',
    });
  });

  it('sizes and seed of the state replace those given', async () => {
    const whole = await minimize(line, { populationSize: 6, seed: 4, maxGenerations: 5 });
    const part = await minimize(line, { populationSize: 6, seed: 4, maxGenerations: 2 });
    const resumed = await minimize(line, {
      populationSize: 50,
      offspring: 3,
      duplicates: 'history',
      archive: true,
      seed: 9,
      maxGenerations: 5,
      resume: json(part.state()),
    });
    expect(resumed.population).toEqual(whole.population);
    expect(resumed.archive).toBeUndefined();
  });
});
