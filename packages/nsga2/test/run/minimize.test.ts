import { describe, expect, it } from 'vitest';
import {
  dtlz,
  evolve,
  hypervolume,
  integer,
  minimize,
  Nsga2Error,
  repeat,
  zdt,
  type MinimizeResult,
  type Problem,
  type RunState,
} from '../../src/index.ts';
import { dominatesPlainly } from '../oracle.ts';

const points = ({ front }: Pick<MinimizeResult, 'front'>): (readonly number[])[] =>
  front.map(({ objectives }) => objectives);
const later = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const throughJson = (state: RunState): RunState => JSON.parse(JSON.stringify(state)) as RunState;

/** ZDT1 whose answers come out of order. */
function delayed(problem: Problem): Problem {
  return {
    ...problem,
    async evaluate(genes, context) {
      await later((context.id * 7) % 3);
      return problem.evaluate(genes, context);
    },
  };
}

describe('minimize', () => {
  it('returns a front in which no point dominates another, and which the population contains', async () => {
    const result = await minimize(dtlz(7), { maxEvaluations: 3000, seed: 4 });
    for (const a of points(result)) for (const b of points(result)) expect(dominatesPlainly(a, b)).toBe(false);
    const ids = new Set(result.population.map(({ id }) => id));
    expect(result.front.every(({ id }) => ids.has(id))).toBe(true);
    expect(result.population).toHaveLength(100);
  });

  it('repeats with the seed and differs without', async () => {
    const run = async (seed: number) =>
      (await minimize(zdt(1), { maxGenerations: 5, populationSize: 12, seed })).population;
    expect(await run(1)).toEqual(await run(1));
    expect(await run(1)).not.toEqual(await run(2));
  });

  it('gives the same result serially, concurrently, in batches and by the iterator', async () => {
    const options = { populationSize: 10, maxGenerations: 4, seed: 9 } as const;
    const serial = await minimize(zdt(4), options);
    const concurrent = await minimize(delayed(zdt(4)), { ...options, concurrency: 4 });
    const all = await minimize(delayed(zdt(4)), { ...options, concurrency: Infinity });
    const single = zdt(4);
    const sizes: number[] = [];
    const batch = await minimize(
      {
        ...single,
        evaluateBatch(genes, { ids }) {
          expect(ids).toHaveLength(genes.length);
          sizes.push(genes.length);
          return genes.map((list) => single.evaluate(list));
        },
      },
      options,
    );
    expect(concurrent.population).toEqual(serial.population);
    expect(all.population).toEqual(serial.population);
    expect(batch.population).toEqual(serial.population);
    expect(sizes).toEqual([10, 10, 10, 10]);
    let last: unknown;
    for await (const generation of evolve(zdt(4), options)) last = generation.population;
    expect(last).toEqual(serial.population);
  });

  it('never has more evaluations under way than allowed', async () => {
    let running = 0;
    let most = 0;
    await minimize(
      {
        ...zdt(1),
        async evaluate(genes) {
          most = Math.max(most, ++running);
          await later(1);
          running--;
          return zdt(1).evaluate(genes);
        },
      },
      { populationSize: 12, maxGenerations: 2, concurrency: 3 },
    );
    expect(most).toBe(3);
  });

  it('ends at the number of evaluations exactly, in the middle of a generation', async () => {
    let calls = 0;
    const problem: Problem = {
      ...zdt(1),
      evaluate(genes) {
        calls++;
        return zdt(1).evaluate(genes);
      },
    };
    const result = await minimize(problem, { populationSize: 20, maxEvaluations: 73, seed: 1, archive: true });
    expect(calls).toBe(73);
    expect(result).toMatchObject({ evaluations: 73, generations: 3, termination: 'evaluations' });
    expect(Math.max(...result.population.map(({ id }) => id))).toBeGreaterThanOrEqual(60);
    for (const a of result.archive!.entries) {
      for (const b of points(result)) expect(dominatesPlainly(b, a.objectives)).toBe(false);
    }
  });

  it('resumed with a larger budget, follows the trajectory of one run', async () => {
    const options = { populationSize: 20, seed: 3, archive: true, stagnation: { generations: 50 } } as const;
    const whole = await minimize(zdt(2), { ...options, maxEvaluations: 400 });
    const first = await minimize(zdt(2), { ...options, maxEvaluations: 133 });
    const second = await minimize(zdt(2), { ...options, maxEvaluations: 290, resume: throughJson(first.state()) });
    const third = await minimize(zdt(2), { ...options, maxEvaluations: 400, resume: throughJson(second.state()) });
    expect(third.population).toEqual(whole.population);
    expect(third.archive!.entries).toEqual(whole.archive!.entries);
    expect(third.state().stagnation).toEqual(whole.state().stagnation);
    expect(third.state().engine).toEqual(whole.state().engine);
    expect(third.elapsed).toBeGreaterThan(first.elapsed);
  });

  it('resumes NSGA-III, also from a state taken in onGeneration', async () => {
    const options = { algorithm: 'nsga3', populationSize: 28, seed: 3 } as const;
    const whole = await minimize(dtlz(2), { ...options, maxGenerations: 9 });
    let saved: RunState | undefined;
    await minimize(dtlz(2), {
      ...options,
      maxGenerations: 6,
      onGeneration(generation) {
        if (generation.generation === 4) saved = throughJson(generation.state());
      },
    });
    const resumed = await minimize(dtlz(2), { ...options, maxGenerations: 9, resume: saved! });
    expect(resumed.population).toEqual(whole.population);
  });

  it('needs a way to end, and sensible limits', async () => {
    await expect(minimize(zdt(1), {})).rejects.toThrow(/would never end/);
    await expect(minimize(zdt(1), { maxEvaluations: -1 })).rejects.toThrow(Nsga2Error);
    await expect(minimize(zdt(1), { maxGenerations: 1, concurrency: 0 })).rejects.toThrow(/concurrency is 0/);
  });
});

describe('terminations', () => {
  it('generations, counting the initial population', async () => {
    const seen: number[] = [];
    const result = await minimize(zdt(1), {
      populationSize: 10,
      maxGenerations: 3,
      onGeneration: ({ generation }) => void seen.push(generation),
    });
    expect(seen).toEqual([1, 2, 3]);
    expect(result).toMatchObject({ generations: 3, evaluations: 30, termination: 'generations' });
  });

  it('time', async () => {
    const result = await minimize(delayed(zdt(1)), { populationSize: 4, maxSeconds: 0.05 });
    expect(result.termination).toBe('time');
    expect(result.elapsed).toBeGreaterThanOrEqual(0.05);
  });

  it('a condition of the caller', async () => {
    const reference = [1.1, 1.1];
    const reached = (front: readonly { objectives: readonly number[] }[]): boolean =>
      hypervolume(
        front.map(({ objectives }) => objectives),
        reference,
      ) > 0.5;
    const result = await minimize(zdt(1), { seed: 1, until: ({ front }) => reached(front) });
    expect(result.termination).toBe('until');
    expect(reached(result.front)).toBe(true);
  });

  it('stagnation of the hypervolume, neither at once nor never', async () => {
    const result = await minimize(zdt(1), {
      seed: 2,
      maxGenerations: 2000,
      stagnation: { generations: 20, tolerance: 1e-3, reference: [1.1, 1.1] },
    });
    expect(result.termination).toBe('stagnation');
    expect(hypervolume(points(result), [1.1, 1.1])).toBeGreaterThan(0.85);
  });

  it('stagnation finds a reference of its own', async () => {
    const result = await minimize(zdt(1), { seed: 2, maxGenerations: 2000, stagnation: true });
    expect(result.termination).toBe('stagnation');
    const state = result.state().stagnation!;
    expect(state.reference).toHaveLength(2);
    expect(state.history).toHaveLength(31);
  });

  it('a space without new candidates', async () => {
    const result = await minimize(
      { variables: repeat(integer(0, 1), 3), objectives: 1, evaluate: (genes) => [genes.reduce((a, b) => a + b, 0)] },
      { populationSize: 4, duplicates: 'history', maxEvaluations: 1000 },
    );
    expect(result).toMatchObject({ termination: 'exhausted', evaluations: 8 });
    expect(points(result)).toEqual([[0]]);
  });

  it('leaving the loop', async () => {
    let generations = 0;
    for await (const { generation } of evolve(zdt(1), { populationSize: 8, maxGenerations: 100 })) {
      generations = generation;
      if (generation === 3) break;
    }
    expect(generations).toBe(3);
  });
});

describe('abort', () => {
  it('of a synchronous run, by a timer; the state in the error resumes it', async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(new Error('enough')), 40);
    const error = await minimize(zdt(1), { maxEvaluations: 1e9, seed: 5, signal: abort.signal }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(Nsga2Error);
    const { code, details, cause } = error as Nsga2Error;
    expect(code).toBe('aborted');
    expect((cause as Error).message).toBe('enough');
    const state = throughJson(details['state'] as RunState);
    const generations = state.engine.generation + 3;
    const resumed = await minimize(zdt(1), { seed: 5, maxGenerations: generations, resume: state });
    const whole = await minimize(zdt(1), { seed: 5, maxGenerations: generations });
    expect(resumed.population).toEqual(whole.population);
  });

  it('of evaluations under way, which see the signal', async () => {
    const abort = new AbortController();
    const problem: Problem = {
      ...zdt(1),
      evaluate: (_, { signal, id }) =>
        new Promise((resolve, reject) => {
          if (id < 3) {
            resolve(zdt(1).evaluate(_));
            return;
          }
          signal.addEventListener('abort', () => reject(signal.reason));
          if (id === 4) abort.abort();
        }),
    };
    const error = await minimize(problem, {
      populationSize: 6,
      maxGenerations: 2,
      concurrency: 6,
      signal: abort.signal,
    }).catch((reason: unknown) => reason as Nsga2Error);
    expect(error).toMatchObject({ code: 'aborted', message: 'aborted after 3 evaluations' });
  });

  it('before the start', async () => {
    await expect(minimize(zdt(1), { maxGenerations: 1, signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'aborted',
    });
  });
});

describe('evaluations that fail', () => {
  const shaky: Problem = {
    ...zdt(1),
    evaluate(genes, { id }) {
      if (id % 4 === 1) throw new Error(`crash of ${id}`);
      return zdt(1).evaluate(genes);
    },
  };

  it('end the run, keeping what was evaluated before', async () => {
    await expect(minimize(shaky, { maxGenerations: 2 })).rejects.toThrow('crash of 1');
    await expect(minimize(shaky, { maxGenerations: 2, concurrency: 3 })).rejects.toThrow('crash of 1');
  });

  it('or count as failed where asked', async () => {
    const result = await minimize(shaky, { populationSize: 20, maxGenerations: 10, onEvaluationError: 'fail' });
    expect(result.evaluations).toBe(200);
    expect(result.front.every(({ id }) => id % 4 !== 1)).toBe(true);
    const concurrent = await minimize(shaky, {
      populationSize: 20,
      maxGenerations: 10,
      onEvaluationError: 'fail',
      concurrency: 5,
    });
    expect(concurrent.population).toEqual(result.population);
  });

  it('or whose values are not finite count as failed too, with all that was evaluated beside them', async () => {
    for (const value of [Number.NaN, Infinity, -Infinity]) {
      const plain = (genes: readonly number[], id: number): readonly number[] =>
        id % 5 === 2 ? [value, 1] : zdt(1).evaluate(genes);
      const problem: Problem = { ...zdt(1), evaluate: (genes, { id }) => plain(genes, id) };
      const options = { populationSize: 20, maxEvaluations: 90, seed: 1, onEvaluationError: 'fail' } as const;
      const serial = await minimize(problem, options);
      expect(serial.evaluations).toBe(90);
      expect(serial.front.every(({ id }) => id % 5 !== 2)).toBe(true);
      const batch: Problem = {
        ...problem,
        evaluateBatch: (genes, { ids }) => genes.map((list, i) => plain(list, ids[i]!)),
      };
      for (const [other, concurrency] of [
        [problem, 4],
        [batch, 1],
      ] as const)
        expect((await minimize(other, { ...options, concurrency })).population).toEqual(serial.population);
    }
    // So does a constraint that is NaN; what has no value at all is a mistake of the problem's.
    const bounded: Problem = {
      ...zdt(1),
      inequality: 1,
      evaluate: (genes, { id }) => ({
        objectives: zdt(1).evaluate(genes),
        inequality: [id === 3 ? Number.NaN : 0],
      }),
    };
    const fail = { populationSize: 10, maxGenerations: 2, onEvaluationError: 'fail' } as const;
    expect((await minimize(bounded, fail)).evaluations).toBe(20);
    await expect(minimize({ ...zdt(1), evaluate: () => [1] }, fail)).rejects.toMatchObject({
      code: 'invalid-evaluation',
    });
  });

  it('end the run with the state of everything that was evaluated, which resumes it', async () => {
    const whole = await minimize(zdt(1), { populationSize: 20, maxEvaluations: 100, seed: 6 });
    let broken = true;
    const bad = (id: number): boolean => broken && id === 53;
    const throwing: Problem = {
      ...zdt(1),
      evaluate(genes, { id }) {
        if (bad(id)) throw new RangeError('no room');
        return zdt(1).evaluate(genes);
      },
    };
    const withNaN: Problem = {
      ...zdt(1),
      evaluate: (genes, { id }) => (bad(id) ? [0, Number.NaN] : zdt(1).evaluate(genes)),
    };
    const batch: Problem = {
      ...withNaN,
      evaluateBatch: (genes, { ids }) =>
        genes.map((list, i) => (bad(ids[i]!) ? [0, Number.NaN] : zdt(1).evaluate(list))),
    };
    for (const [problem, concurrency, code, told] of [
      [throwing, 1, 'evaluation-failed', 53],
      [withNaN, 1, 'invalid-evaluation', 53],
      [withNaN, 4, 'invalid-evaluation', 53],
      [delayed(throwing), 4, 'evaluation-failed', 53],
      [batch, 1, 'invalid-evaluation', 59],
    ] as const) {
      broken = true;
      const options = { populationSize: 20, maxEvaluations: 100, seed: 6, concurrency };
      const error = await minimize(problem, options).catch((reason: unknown) => reason as Nsga2Error);
      expect(error).toMatchObject({ code });
      const { state, details, cause } = error as Nsga2Error;
      expect(cause instanceof RangeError).toBe(code === 'evaluation-failed');
      expect(details['state']).toBe(state);
      expect(state!.engine.evaluations).toBeGreaterThanOrEqual(told);
      broken = false;
      const resumed = await minimize(problem, { ...options, resume: throughJson(state!) });
      expect(resumed.population).toEqual(whole.population);
    }
  });

  it('that return nonsense are errors', async () => {
    const bad = (result: unknown): Problem => ({ ...zdt(1), evaluate: () => result as number[] });
    await expect(minimize(bad(undefined), { maxGenerations: 1 })).rejects.toThrow(/undefined is not an evaluation/);
    await expect(minimize(bad([1]), { maxGenerations: 1 })).rejects.toThrow(/1 objectives values/);
    await expect(minimize(bad([1, Number.NaN]), { maxGenerations: 1 })).rejects.toThrow(/failed: true/);
    await expect(minimize({ ...zdt(1), evaluateBatch: () => [[1, 2]] }, { maxGenerations: 1 })).rejects.toThrow(
      /1 results for 100 candidates/,
    );
  });
});
