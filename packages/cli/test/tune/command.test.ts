// `instatune tune` as a user runs it: a table in, a folder out; killed and gone on with; budgets met, unmet and mistaken.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCheckpoint } from '@instatune/supernet';
import * as tf from '@tensorflow/tfjs';
import { parseHTML } from 'linkedom';
import { parse } from 'yaml';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunPlan } from '../../src/run/plan.ts';
import { planText } from '../../src/tune/command.ts';
import { cli, start } from '../helpers/run.ts';
import { newFolder, reviewsCsv, tinyBert } from '../helpers/tiny.ts';

interface Result {
  readonly met: boolean;
  readonly chosen: { readonly genes: readonly number[] };
  readonly full: Readonly<Record<string, number>>;
  readonly small: Readonly<Record<string, number>>;
  readonly searched: Readonly<Record<string, number>>;
  readonly files: readonly {
    readonly name: string;
    readonly bytes: number;
    readonly quality?: Readonly<Record<string, number>>;
  }[];
}

const folder = newFolder();
const options = ['--text', 'sentence', '--label', 'verdict', '--backend', 'cpu', '--seed', '1'];
const effort = ['--steps', '30', '--learning-rate', '0.01', '--tune-steps', '10', '--evaluations', '12'];
const run = (out: string, budget: string, ...more: string[]) => runOn('train.csv', out, budget, ...more);
const runOn = (train: string, out: string, budget: string, ...more: string[]) => [
  'tune',
  '--model',
  'tiny',
  '--train',
  train,
  '--out',
  out,
  '--budget',
  budget,
  ...options,
  ...effort,
  ...more,
];

/** What must be the same however often a run was killed: everything but times. */
function repeated(text: string): unknown {
  const { chosen, full, small, searched, files } = JSON.parse(text) as Result;
  const timeless = (values: Readonly<Record<string, number>>) => ({ ...values, latency: undefined });
  return { chosen, full: timeless(full), small: timeless(small), searched, files };
}

describe('instatune tune', () => {
  let whole = '';
  let said: { readonly code: number | null; readonly err: string };
  beforeAll(async () => {
    await tf.setBackend('cpu');
    await tinyBert(join(folder, 'tiny'));
    reviewsCsv(folder);
    const { code, out, err } = await cli(folder, ...run('whole', 'macs <= 0.7x', '--json'));
    said = { code, err };
    whole = out;
  });

  it('keeps the budget, learns the task, and says both', () => {
    expect(said.code, said.err).toBe(0);
    expect(said.err).toMatch(/\[2\/7\] fine-tuning as a super-network .* 30\/30 .*ETA/);
    const { met, full, small, files } = JSON.parse(whole) as Result;
    expect(met).toBe(true);
    expect(small['macs']! / full['macs']!).toBeLessThanOrEqual(0.7);
    expect(full['accuracy']).toBeGreaterThan(0.9);
    expect(small['accuracy']).toBeGreaterThan(0.9);
    const [weights, onnx] = files;
    expect(weights!.name).toBe('model.safetensors');
    expect(onnx!.name).toBe('onnx/model.onnx');
    expect(onnx!.bytes).toBe(statSync(join(folder, 'whole/onnx/model.onnx')).size);
    // The file computes what was reported.
    expect(onnx!.quality!['loss']).toBeCloseTo(small['loss']!, 4);
    expect(onnx!.quality!['accuracy']).toBe(small['accuracy']);
  });

  it('writes a checkpoint that loads with its classes, a report and a card', async () => {
    const { small } = JSON.parse(whole) as Result;
    const { config, tokenizer, model } = await loadCheckpoint(join(folder, 'whole'));
    expect(tokenizer).toBeDefined();
    expect(config.raw['id2label']).toEqual({ 0: 'bad', 1: 'good' });
    model.dispose();
    const html = readFileSync(join(folder, 'whole/report.html'), 'utf8');
    const { document } = parseHTML(html);
    expect(document.querySelectorAll('svg').length).toBeGreaterThanOrEqual(6);
    expect(document.querySelectorAll('script, link[href], img').length).toBe(0);
    expect(document.body.textContent).toContain('macs <= 0.7x');
    const [, front, body] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(
      readFileSync(join(folder, 'whole/README.md'), 'utf8'),
    )!;
    const card = parse(front!) as Record<string, unknown> & {
      'model-index': { results: { metrics: { type: string; value: number }[] }[] }[];
    };
    expect(card).toMatchObject({
      license: 'apache-2.0',
      language: 'en',
      pipeline_tag: 'text-classification',
      metrics: ['accuracy'],
    });
    const [{ value, type }] = card['model-index'][0]!.results[0]!.metrics as [{ type: string; value: number }];
    expect([type, value]).toEqual(['accuracy', Number(small['accuracy']!.toPrecision(6))]);
    expect(body).toContain('instatune tune --model tiny');
  });

  it('killed again and again, it comes to the same end', async () => {
    const args = run('killed', 'macs <= 0.7x', '--json');
    const work = join(folder, 'killed.work');
    let kills = 0;
    // Each time a moment later than the last: in loading, training, searching, fine-tuning on, writing.
    const marks = ['start', 'super-network.state', 'search.db', 'refine.state'];
    for (const mark of marks) {
      const { child, ended } = start(folder, ...args);
      const alive = () => child.exitCode === null && child.signalCode === null;
      while (alive() && !existsSync(join(work, mark))) await sleep(5);
      if (!alive()) break;
      await sleep(10 * kills);
      if (child.kill('SIGKILL')) kills++;
      await ended;
    }
    expect(kills).toBeGreaterThanOrEqual(3);
    const { code, out, err } = await cli(folder, ...args);
    expect(code, err).toBe(0);
    expect(err).toContain('going on with the run in killed.work');
    expect(repeated(out)).toEqual(repeated(whole));
    expect(readFileSync(join(folder, 'killed/onnx/model.onnx'))).toEqual(
      readFileSync(join(folder, 'whole/onnx/model.onnx')),
    );
  });

  it('killed, its data moved to another folder, it goes on; with one label changed it does not', async () => {
    const [before, after] = [join(folder, 'before'), join(folder, 'after')];
    mkdirSync(before);
    copyFileSync(join(folder, 'train.csv'), join(before, 'train.csv'));
    const of = (data: string) => runOn(join(data, 'train.csv'), 'moved', 'macs <= 0.7x', '--json');
    const { child, ended } = start(folder, ...of(before));
    while (child.exitCode === null && !existsSync(join(folder, 'moved.work/super-network.state'))) await sleep(5);
    child.kill('SIGKILL');
    await ended;
    renameSync(before, after);
    const table = join(after, 'train.csv');
    const rows = readFileSync(table, 'utf8');
    writeFileSync(table, rows.replace(',good\n', ',bad\n'));
    const changed = await cli(folder, ...of(after));
    expect(changed.code, changed.err).toBe(2);
    expect(changed.err).toContain('holds a run with another model, task, data, space or seed');
    writeFileSync(table, rows);
    const { code, out, err } = await cli(folder, ...of(after));
    expect(code, err).toBe(0);
    expect(err).toContain('going on with the run in moved.work');
    expect(repeated(out)).toEqual(repeated(whole));
  });

  it('Ctrl-C ends with 130 and the command to go on with', async () => {
    const { child, ended } = start(folder, ...run('stopped', 'macs <= 0.7x'));
    while (child.exitCode === null && !existsSync(join(folder, 'stopped.work/start'))) await sleep(5);
    child.kill('SIGINT');
    const { code, err } = await ended;
    expect(code).toBe(130);
    expect(err).toContain(
      "interrupted; go on with: instatune tune --model tiny --train train.csv --out stopped --budget 'macs <= 0.7x'",
    );
  });

  it('an unmet budget ends with 3, in words; another one goes on from there', async () => {
    const unmet = await cli(folder, ...run('whole', 'macs <= 0.01x', '--json'));
    expect(unmet.code).toBe(3);
    expect(unmet.err).toMatch(
      /no sub-network that was found is within the budget: "macs <= 0\.01x" asks for macs <= [\d.e+]+, the nearest has \d+/,
    );
    const { met, nearest } = JSON.parse(unmet.out) as {
      met: boolean;
      nearest: { values: Readonly<Record<string, number>> };
    };
    expect(met).toBe(false);
    const { full } = JSON.parse(whole) as Result;
    expect(nearest.values['macs']! / full['macs']!).toBeGreaterThan(0.01);
    expect(existsSync(join(folder, 'whole.work/report.html'))).toBe(true);
    const again = await cli(folder, ...run('whole', 'macs <= 0.9x, accuracy >= baseline - 5%', '--json', '--quiet'));
    expect(again).toMatchObject({ code: 0, err: '' });
    const { small } = JSON.parse(again.out) as Result;
    expect(small['macs']! / full['macs']!).toBeLessThanOrEqual(0.9);
  });

  it('--dry-run says time and memory, and starts nothing', async () => {
    const { code, out } = await cli(folder, ...run('dry', 'latency <= 0.5x', '--dry-run', '--json', '--quiet'));
    expect(code).toBe(0);
    const plan = JSON.parse(out) as RunPlan;
    expect(plan.settings).toMatchObject({ steps: 30, evaluations: 12, tuneSteps: 10, objectives: ['latency'] });
    expect(plan.totalSeconds).toBeGreaterThan(0);
    expect(plan.memory.planned).toBe(20 * plan.parameters);
    expect(plan.memory.held).toBeGreaterThan(plan.memory.planned);
    expect(planText(plan)).toMatch(/time: about \d+ .*\nmemory: [\d.]+ MB held by the process/);
    const settings = { ...plan.settings, learningRate: 3 * 5e-5 }; // not 0.00015 in binary
    expect(planText({ ...plan, settings })).toContain(' at 0.00015,');
    expect(readdirSync(folder).filter((name) => name.startsWith('dry'))).toEqual([]);
  });

  it('--fresh begins anew where the folder holds what the run before wrote, a killed one too', async () => {
    const args = run('anew', 'macs <= 0.9x', '--steps', '2', '--tune-steps', '1', '--evaluations', '6', '--quiet');
    expect((await cli(folder, ...args)).code).toBe(0);
    // What a run leaves that was killed before it noted anything.
    rmSync(join(folder, 'anew.work', 'run.json'));
    const { code, err } = await cli(folder, ...args, '--fresh');
    expect(err).toBe('');
    expect(code).toBe(0);
  }, 60_000);

  it('leaves nothing behind where the folder to write to is taken', async () => {
    const { code, err } = await cli(folder, ...run('tiny', 'macs <= 0.9x'));
    expect(err).toContain('--out tiny has other files in it');
    expect(code).toBe(2);
    expect(existsSync(join(folder, 'tiny.work'))).toBe(false);
  });

  it.each([
    [run('x', 'speed <= 3'), 'names "speed"'],
    [run('train.csv', 'macs <= 0.5x', '--quiet'), '--out train.csv is a file'],
    [
      run('whole', 'macs <= 0.5x', '--steps', '31', '--quiet'),
      'holds a run with other steps, batch size or learning rate',
    ],
  ])('%j ends with 2 and one sentence', async (args, sentence) => {
    const { code, err } = await cli(folder, ...args);
    expect(err).toContain(sentence);
    expect(err.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
  });
});
