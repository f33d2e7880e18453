import { resolve } from 'node:path';
import { parseArgs } from 'citty';
import { describe, expect, it } from 'vitest';
import { checkArguments, definition, givenOptions, inputOf, textFiles } from '../../src/cli/arguments.ts';

const input = (...raw: string[]) => {
  checkArguments(raw);
  return inputOf(parseArgs<typeof definition>([...raw], definition), raw, '/home/user');
};

describe('the command line', () => {
  it('takes several texts, in any place, relative to the user', () => {
    const expected = ['/home/user/a.md', '/home/user/b.md', '/abs/c.md'];
    expect(input('--text', 'a.md', 'b.md', '/abs/c.md', '--quick').text).toEqual(expected);
    expect(input('--quick', '--text', 'a.md', '--text=b.md', '/abs/c.md').text).toEqual(expected);
    expect(textFiles(['--out', 'x', '--text', 'a', 'b', '--seed', '3'])).toEqual(['a', 'b']);
  });

  it('reads every option', () => {
    const line =
      '--document d.txt --budget latency<=0.6x;macs<=1e9 --max-loss 3.5 --seed 7 --quick --model m --backend cpu --steps 5 --batch 2 ' +
      '--sequence 64 --learning-rate 1e-4 --evaluations 20 --cost macs --lengths 256,512 --keys 64 --generate 3';
    expect(input(...line.split(' '))).toEqual({
      text: [],
      document: resolve('/home/user/d.txt'),
      budget: ['latency<=0.6x', 'macs<=1e9'],
      maxLoss: 3.5,
      seed: 7,
      quick: true,
      model: '/home/user/m',
      backend: 'cpu',
      steps: 5,
      batch: 2,
      sequence: 64,
      learningRate: 1e-4,
      evaluations: 20,
      cost: 'macs',
      lengths: [256, 512],
      keys: 64,
      generate: 3,
    });
  });

  it('leaves what is not given to the defaults', () => {
    const { text, quick, ...rest } = input();
    expect(text).toEqual([]);
    expect(quick).toBe(false);
    expect(Object.values(rest).every((value) => value === undefined)).toBe(true);
  });

  it.each([
    [['--seed', ''], '--seed is "": use a number'],
    [['--lengths', '256,,512'], '--lengths is "256,,512": use numbers with commas between'],
    [['--lengths=many'], '--lengths is "many": use numbers with commas between'],
    [['--out'], '--out needs a value'],
    [['a.txt'], '"a.txt" belongs to no option'],
    [['--out', 'x', 'y'], '"y" belongs to no option'],
    [['--bugdet', 'x'], 'there is no option --bugdet (the nearest is --budget): use --text,'],
  ])('%j is refused', (raw, message) => {
    expect(() => input(...raw)).toThrow(message);
  });

  it('knows which options a command line speaks of', () => {
    expect(givenOptions(['--resume', '--out', 'x'])).toEqual([]);
    expect(givenOptions(['--steps', '5', '--batch=2', '--seed', '1', '--max-loss', '3', '--no-quick'])).toEqual([
      'fineTune',
      'seed',
      'budget',
      'quick',
    ]);
  });
});
