// Which channels heads are searched by: the slower half of the rotary pairs where there is one, else all.
import { describe, expect, it } from 'vitest';
import {
  DEFAULT_CONFIG,
  DecodeSession,
  hasSlowHalf,
  rotaryTables,
  searchBlockMask,
  suitableConfig,
  type MassStage,
  type SearchOptions,
} from '../../src/index.ts';
import { tensorsOf } from '../support.ts';

const vote = (dims: MassStage['dims']): SearchOptions => ({
  k: 8,
  blockQ: 8,
  blockK: 2,
  window: 4,
  sink: 2,
  stages: [{ chunk: 2, keep: 8, score: 'mass', ...(dims && { dims }) }],
});
const withoutDims = (stage: object): object =>
  Object.fromEntries(Object.entries(stage).filter(([name]) => name !== 'dims'));
const shapeOf = (headDim: number) => ({ batch: 1, queries: 40, keys: 160, heads: 2, kvHeads: 1, headDim });

describe('the slower half of the rotary pairs', () => {
  it('is there where heads have quarters and turn half against half', () => {
    const found = [64, 4, 30, 5].map((headDim) => hasSlowHalf({ headDim }));
    expect(found).toEqual([true, true, false, false]);
    expect(hasSlowHalf({ headDim: 64, rotation: 'other' })).toBe(false);
  });

  it('is all channels elsewhere, and nothing else of the configuration changes', () => {
    expect(suitableConfig(DEFAULT_CONFIG, { headDim: 64 })).toBe(DEFAULT_CONFIG);
    const { stages, ...rest } = suitableConfig(DEFAULT_CONFIG, { headDim: 64, rotation: 'other' });
    const { stages: own, ...others } = DEFAULT_CONFIG;
    expect(rest).toEqual(others);
    expect(stages).toEqual(own!.map(withoutDims));
    expect(suitableConfig({ ...DEFAULT_CONFIG, stages: undefined }, { headDim: 6 }).stages).toBeUndefined();
  });

  it('searches heads without quarters as all channels do', () => {
    const shape = shapeOf(6);
    const { q, k } = tensorsOf(shape, 1);
    expect(searchBlockMask(q, k, shape, vote('slow-half'))).toEqual(searchBlockMask(q, k, shape, vote('all')));
    const whole = tensorsOf(shapeOf(8), 1);
    const [half, all] = [vote('slow-half'), vote('all')].map((given) =>
      searchBlockMask(whole.q, whole.k, shapeOf(8), given),
    );
    expect(half).not.toEqual(all);
  });

  it('searches heads that turn otherwise, by their tables, as all channels do', () => {
    const shape = shapeOf(8);
    const { q, k, v } = tensorsOf(shape, 2);
    for (const tables of [{ ...rotaryTables(160, 8), interleaved: true }, rotaryTables(160, 4)]) {
      const rope = { tables, mode: 'absolute' } as const;
      expect(searchBlockMask(q, k, shape, { ...vote('slow-half'), rope })).toEqual(
        searchBlockMask(q, k, shape, { ...vote('all'), rope }),
      );
      const masks = ([vote('slow-half'), vote('all')] as const).map((config) => {
        const session = new DecodeSession({ heads: 2, kvHeads: 1, headDim: 8, config, rope });
        session.prefill(q.subarray(0, 40 * 16), k.subarray(0, 40 * 8), v.subarray(0, 40 * 8));
        session.step(q.subarray(0, 16), k.subarray(0, 8), v.subarray(0, 8));
        return session.mask;
      });
      expect(masks[0]).toEqual(masks[1]);
    }
  });

  it('leaves out the default’s remainder where distances are not the model’s own', () => {
    const rope = { tables: rotaryTables(200, 8), mode: 'streaming' } as const;
    const options = { heads: 1, kvHeads: 1, headDim: 8, rope };
    expect(new DecodeSession(options).config.remainder).toBeUndefined();
    const { remainder } = DEFAULT_CONFIG;
    expect(() => new DecodeSession({ ...options, config: { remainder } })).toThrow(
      expect.objectContaining({ code: 'unsupported' }),
    );
    const shape = shapeOf(8);
    const { q, k } = tensorsOf(shape, 3);
    const found = searchBlockMask(q, k, shape, { rope: { ...rope, mode: 'relative' } });
    expect(found.remainder).toBeUndefined();
  });
});
