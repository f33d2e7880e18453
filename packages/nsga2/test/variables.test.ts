import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  assertGenes,
  boolean,
  categorical,
  createLayout,
  decode,
  encode,
  integer,
  latinHypercube,
  Nsga2Error,
  permutation,
  Random,
  real,
  repeat,
  sampleUniform,
  type NumberOptions,
  type Variable,
  type VariableOptions,
} from '../src/index.ts';
import { mixedVariables } from './mixed.ts';

describe('variables', () => {
  it('decode to values and encode back', () => {
    const variables = [real(0, 1), integer(1, 9), categorical(['relu', 'gelu']), boolean(), permutation(3)];
    const genes = [0.5, 4, 1, 0, 2, 0, 1];
    expect(decode(variables, genes)).toEqual([0.5, 4, 'gelu', false, [2, 0, 1]]);
    expect(encode(variables, decode(variables, genes))).toEqual(genes);
  });

  it.each([
    [{ type: 'int', lower: 0, upper: 1 }, 'variable 1 is of type "int": use real, integer'],
    [{ type: 'toString' }, 'is of type "toString"'],
    [null, 'variable 1 is of type undefined'],
    [{ type: 'integer', lower: 4, upper: 1 }, 'variable 1: integer(4, 1)'],
    [{ type: 'integer', lower: 0.5, upper: 2 }, 'variable 1: integer(0.5, 2)'],
    [{ type: 'real', lower: 0, upper: Infinity }, 'variable 1: real(0, Infinity)'],
    [{ type: 'categorical' }, 'variable 1: categorical([])'],
    [{ type: 'permutation', length: 0 }, 'variable 1: permutation(0)'],
  ])('written as objects are checked: %j', (variable, message) => {
    expect(() => createLayout([boolean(), variable as Variable])).toThrow(
      expect.objectContaining({ code: 'invalid-variable', message: expect.stringContaining(message) as string }),
    );
  });

  it('encode refuses values that are not there', () => {
    expect(() => encode([categorical(['a'])], ['b'])).toThrow(/no value b/);
    expect(() => encode([boolean()], [])).toThrow(Nsga2Error);
  });

  it.each([
    () => real(1, 0),
    () => real(0, Infinity),
    () => real(-1e308, 1e308),
    () => integer(0, 1.5),
    () => integer(2, 1),
    () => categorical([]),
    () => categorical(0),
    () => permutation(0),
  ])('refuse impossible ranges: %s', (make) => {
    expect(make).toThrow(expect.objectContaining({ code: 'invalid-variable' }));
  });

  it.each([
    () => real(1, 2, { stp: 0.1 } as NumberOptions),
    () => integer(1, 2, { names: 'n' } as NumberOptions),
    () => categorical(['a'], { step: 2 } as VariableOptions),
    () => boolean({ nam: 'x' } as VariableOptions),
  ])('refuse options that there are not: %s', (make) => {
    expect(make).toThrow(/has no option "\w+": use name, when/);
  });

  it('carry names', () => {
    expect(real(0, 1, 'rate')).toEqual({ type: 'real', lower: 0, upper: 1, name: 'rate' });
    expect(boolean()).not.toHaveProperty('name');
  });
});

describe('createLayout', () => {
  it('groups genes by type, each permutation alone, without genes that cannot change', () => {
    const layout = createLayout([
      real(0, 1),
      permutation(3),
      integer(2, 2),
      real(5, 5),
      boolean(),
      permutation(2),
      real(-1, 1),
      permutation(1),
    ]);
    expect(layout.width).toBe(11);
    expect(layout.groups.map(({ type, positions }) => [type, ...positions])).toEqual([
      ['real', 0, 9],
      ['boolean', 6],
      ['permutation', 1, 2, 3],
      ['permutation', 7, 8],
    ]);
    expect(layout.mutable).toBe(5);
  });

  it('needs a variable', () => {
    expect(() => createLayout([])).toThrow(Nsga2Error);
  });
});

describe('sampling', () => {
  it('gives valid genes for any mix', () => {
    fc.assert(
      fc.property(mixedVariables, fc.integer(), (variables, seed) => {
        const layout = createLayout(variables);
        const genes = new Float64Array(layout.width);
        sampleUniform(layout, genes, new Random(seed));
        expect(() => assertGenes(layout, genes)).not.toThrow();
      }),
    );
  });

  it('reaches both ends of an integer', () => {
    const layout = createLayout(repeat(integer(3, 5), 200));
    const genes = new Float64Array(200);
    sampleUniform(layout, genes, new Random(1));
    expect(new Set(genes)).toEqual(new Set([3, 4, 5]));
  });

  it('latin hypercube uses every stratum once', () => {
    const layout = createLayout([real(0, 10), integer(0, 4), boolean(), permutation(3)]);
    const sampler = latinHypercube();
    const random = new Random(9);
    const rows = Array.from({ length: 10 }, (_, index) => {
      const genes = new Float64Array(layout.width);
      sampler(layout, genes, random, index, 10);
      assertGenes(layout, genes);
      return Array.from(genes);
    });
    expect(rows.map(([x = 0]) => Math.floor(x)).sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    for (let value = 0; value < 5; value++) expect(rows.filter((row) => row[1] === value)).toHaveLength(2);
    expect(rows.filter((row) => row[2] === 1)).toHaveLength(5);
  });
});

describe('assertGenes', () => {
  const layout = createLayout([real(0, 1), integer(0, 3), permutation(3)]);
  it.each([
    [[0.5, 1, 0, 1], /4 genes for a genome of 5/],
    [[1.5, 1, 0, 1, 2], /gene 0 is 1.5: needs a number in \[0, 1\]/],
    [[0.5, 1.5, 0, 1, 2], /gene 1 is 1.5: needs an integer/],
    [[Number.NaN, 1, 0, 1, 2], /gene 0 is NaN/],
    [[0.5, 1, 0, 2, 2], /repeat a value/],
  ])('names what is wrong with %j', (genes, message) => {
    expect(() => assertGenes(layout, genes)).toThrow(message);
  });
});
