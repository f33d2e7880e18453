// `instatune tune` on tagged words as a user runs it: a plan, a kill in the middle of training, the same command again.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { cli, start } from '../helpers/run.ts';
import { newFolder, taggedConll, tinyBert } from '../helpers/tiny.ts';

const folder = newFolder();
const options = ['tune', '--model', 'tiny', '--train', 'train.conll', '--budget', 'macs <= 0.9x, f1 >= 1%'];
const effort = ['--steps', '40', '--tune-steps', '4', '--evaluations', '6', '--learning-rate', '0.01', '--batch', '8'];
const run = (out: string, ...more: string[]) => [...options, ...effort, '--backend', 'cpu', '--out', out, ...more];

beforeAll(async () => {
  await tf.setBackend('cpu');
  await tinyBert(join(folder, 'tiny'));
  taggedConll(folder);
});

it('plans, and goes on after a kill to the end of a run that was not killed', async () => {
  const plan = await cli(folder, ...run('dry', '--dry-run', '--quiet'));
  expect(plan).toMatchObject({ code: 0, err: '' });
  expect(plan.out).toMatch(/sentences to train on, .*; 2 kinds of spans\n.* 40 steps of 8 at 0\.01.*\ntime: about/);

  const whole = await cli(folder, ...run('whole', '--json', '--quiet'));
  expect(whole.code, whole.err).toBe(0);
  const { child, ended } = start(folder, ...run('killed', '--json', '--quiet'));
  while (child.exitCode === null && !existsSync(join(folder, 'killed.work/start/config.json'))) await sleep(5);
  child.kill('SIGKILL');
  await ended;
  const again = await cli(folder, ...run('killed', '--json', '--quiet'));
  expect(again.code, again.err).toBe(0);
  const timeless = (text: string): unknown => {
    const { task, chosen, searched, full, small } = JSON.parse(text) as Record<string, Record<string, unknown>>;
    return { task, chosen, searched, full: { ...full, latency: 0 }, small: { ...small, latency: 0 } };
  };
  expect(timeless(again.out)).toEqual(timeless(whole.out));
  expect(timeless(whole.out)).toMatchObject({
    task: 'token-classification',
    small: { f1: expect.any(Number) as number },
  });
  expect(readFileSync(join(folder, 'killed/onnx/model.onnx'))).toEqual(
    readFileSync(join(folder, 'whole/onnx/model.onnx')),
  );
});

it('an unknown column ends with 2 and one sentence', async () => {
  const { code, err } = await cli(folder, ...run('x', '--tags', '9', '--quiet'));
  expect(code).toBe(2);
  expect(err).toMatch(/^instatune: --tags is "9", and .*train\.conll has 4 columns without names: .* 1 to 4\n$/);
});
