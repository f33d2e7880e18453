// Options of addAdapters: what is refused, in words, and that nothing is left behind.
import * as tf from '@tensorflow/tfjs';
import '@hip/testing';
import { describe, expect, it } from 'vitest';
import { addAdapters, type AdapterOptions } from '../../src/adapters/add.ts';
import type { AdapterTarget } from '../../src/adapters/types.ts';
import { useBackend } from '../helpers/backend.ts';
import { tinyBert } from '../helpers/tiny.ts';

describe('options of addAdapters', () => {
  it.each<[AdapterOptions, RegExp]>([
    [{ targets: ['gate'] }, /targets = gate: a bert model has query, key, value, output, up, down/],
    [{ targets: [] }, /targets = \(none\)/],
    [{ targets: ['q_proj' as AdapterTarget] }, /targets = q_proj/],
    [{ rank: 0 }, /rank = 0: expected a positive integer/],
    [{ rank: 2.5 }, /rank = 2.5/],
    [{ rank: 4, ranks: [0, 8] }, /ranks = 0, 8: use some of 0…4/],
    [{ ranks: [] }, /ranks = \(none\)/],
    [{ ranks: [-1, 4] }, /ranks = -1: expected an integer ≥ 0/],
    [{ alpha: 0 }, /alpha = 0: expected a positive number/],
    [{ alpha: Infinity }, /alpha = Infinity/],
    [{ seed: 0.5 }, /seed = 0.5/],
  ])('%o', async (options, message) => {
    await useBackend('cpu');
    const base = tinyBert();
    const held = tf.memory().numTensors;
    expect(() => addAdapters(base, options)).toThrow(message);
    expect(tf.memory().numTensors).toBe(held);
    base.dispose();
  });

  it('one model has one set of adapters', () => {
    const model = addAdapters(tinyBert());
    expect(() => addAdapters(model)).toThrow(/has adapters already/);
  });

  it('free all that they made', async () => {
    await useBackend('cpu');
    const base = tinyBert();
    const held = tf.memory().numTensors;
    addAdapters(base).dispose();
    expect(tf.memory().numTensors).toBe(held);
    base.dispose();
  });
});
