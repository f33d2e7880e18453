// Ctrl-C and kill -9 at every step; the resumed run ends with the numbers of one that was never interrupted.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStudy } from '@instatune/search/node';
import * as v from 'valibot';
import { beforeAll, describe, expect, it } from 'vitest';
import { resultSchema, type DemoResult } from '../src/pipeline/result.ts';
import { cli, newFolder, peek, start, tinyCheckpoint, writeTexts } from './helpers.ts';

const folder = newFolder();
const out = (name: string): string => join(folder, name);
const resultOf = (name: string): DemoResult =>
  v.parse(resultSchema, JSON.parse(readFileSync(join(out(name), 'result.json'), 'utf8')));
const { text, document } = writeTexts(folder);
const settings = (
  `--model ${join(folder, 'tiny')} --text ${text} --document ${document} --backend wasm --seed 5 --cost macs ` +
  '--steps 24 --batch 2 --sequence 32 --evaluations 12 --lengths 256,512,1024 --keys 64 --generate 12'
).split(' ');
let whole: DemoResult;

beforeAll(async () => {
  await tinyCheckpoint(join(folder, 'tiny'));
  const run = await cli(folder, ...settings, '--out', 'whole');
  if (run.code !== 0) throw new Error(run.err);
  whole = resultOf('whole');
});

/** What must not depend on when a run was interrupted: everything but times and memory. */
function repeatable({ finetune, search, chosen, longContext, generation, passKeys }: DemoResult): unknown {
  const { seconds: _, ...trained } = finetune;
  return {
    trained,
    search: {
      ...search,
      seconds: 0,
      front: search.front.map((point) => ({ ...point, latencyMs: 0 })),
    },
    chosen: { ...chosen, latencyMs: 0, baseline: { ...chosen.baseline, latencyMs: 0 } },
    longContext: longContext.map(({ tokens, densePpl, hipPpl, massRecall }) => ({
      tokens,
      densePpl,
      hipPpl,
      massRecall,
    })),
    text: generation.text,
    keys: passKeys!.keys,
    answers: passKeys!.readers.map(({ model, dense, hip }) => [model, dense.answers, hip.answers]),
  };
}

/** Starts a run, waits until `hasBegun`, and sends a signal. */
async function interrupt(name: string, signal: 'SIGINT' | 'SIGKILL', hasBegun: () => boolean, ...more: string[]) {
  const { child, ended } = start(folder, ...settings, '--out', name, ...more);
  while (!hasBegun() && child.exitCode === null) await sleep(1);
  child.kill(signal);
  return ended;
}

const stateOf = (name: string, file: string): string => join(out(name), 'state', file);
const factsOf = (name: string): { readonly passes?: object; readonly chosen?: unknown; readonly search?: unknown } => {
  try {
    return (JSON.parse(peek(stateOf(name, 'run.json'))) as { facts: object }).facts;
  } catch {
    return {};
  }
};
/** Steps of a run: how to see that one has begun, and which fact is not there before it has ended. */
type Moment = readonly [at: string, hasBegun: (name: string) => boolean, last: string];
const moments: readonly Moment[] = [
  ['fine-tuning', (name) => peek(stateOf(name, 'curve.jsonl')).split('\n').length > 8, 'finetune'],
  ['searching', (name) => measured(name) >= 3, 'search'],
  ['the long document', (name) => Object.keys(factsOf(name).passes ?? {}).length > 0, 'generation'],
];

function measured(name: string): number {
  try {
    return readStudy(stateOf(name, 'search.db')).trials.filter(({ status }) => status === 'complete').length;
  } catch {
    return 0; // not there yet
  }
}

/** Runs that are interrupted until one is within its step: on a busy machine this process may see the step too late. */
const ATTEMPTS = 5;

async function interruptWithin(name: string, signal: 'SIGINT' | 'SIGKILL', [, hasBegun, last]: Moment) {
  for (let attempt = 1; ; attempt++) {
    const run = `${name}-${attempt}`;
    const ended = await interrupt(run, signal, () => hasBegun(run));
    const facts = Object.keys(factsOf(run));
    if (!facts.includes(last) || attempt === ATTEMPTS) return { name: run, ended, facts };
  }
}

/** The result and the trials of a run that was interrupted there and resumed, and what was known in between. */
async function interruptAndResume(signal: 'SIGINT' | 'SIGKILL', moment: Moment) {
  const { name, ended, facts } = await interruptWithin(`${signal}-${moment[0].replaceAll(' ', '-')}`, signal, moment);
  const wasDone = existsSync(join(out(name), 'result.json'));
  const resumed = await cli(folder, '--resume', '--out', name);
  return {
    ended,
    facts,
    wasDone,
    resumed,
    result: resumed.code === 0 ? resultOf(name) : undefined,
    trials: trialsOf(name),
  };
}

const trialsOf = (name: string): unknown[] =>
  readStudy(stateOf(name, 'search.db')).trials.map(({ genes, values }) => [genes, values]);

it.each(moments)('Ctrl-C during %s, and --resume ends where the whole run ended', async (...moment) => {
  const { ended, facts, wasDone, resumed, result, trials } = await interruptAndResume('SIGINT', moment);
  expect(wasDone).toBe(false);
  expect(facts).not.toContain(moment[2]);
  expect(ended.code).toBe(130);
  expect(ended.err).toMatch(/Interrupted. Everything finished is kept: add --resume to go on.\n$/);
  expect(resumed).toMatchObject({ code: 0 });
  expect(repeatable(result!)).toEqual(repeatable(whole));
  expect(trials).toEqual(trialsOf('whole'));
});

it.each(moments)('kill -9 during %s, and --resume ends where the whole run ended', async (...moment) => {
  const { ended, facts, wasDone, resumed, result, trials } = await interruptAndResume('SIGKILL', moment);
  expect(wasDone).toBe(false);
  expect(facts).not.toContain(moment[2]);
  expect(ended.signal).toBe('SIGKILL');
  expect(resumed).toMatchObject({ code: 0 });
  // A kill may fall between a checkpoint and its line of the curve: that step keeps its objective only, and counts no tokens.
  const { history } = result!.finetune;
  const full = whole.finetune.history;
  expect(full).toMatchObject(history);
  const complete = { ...result!, finetune: { ...result!.finetune, history: full, tokens: whole.finetune.tokens } };
  expect(repeatable(complete)).toEqual(repeatable(whole));
  expect(trials).toEqual(trialsOf('whole'));
});

describe('--resume', () => {
  it('of a finished run measures nothing again and writes the report again', async () => {
    rmSync(join(out('whole'), 'report.html'));
    const before = readFileSync(join(out('whole'), 'result.json'), 'utf8');
    const again = await cli(folder, '--resume', '--out', 'whole');
    expect(again).toMatchObject({ code: 0 });
    expect(existsSync(join(out('whole'), 'report.html'))).toBe(true);
    const withoutDate = (text: string) => text.replaceAll(/"(date|elapsedSeconds|processorSeconds)": .*/g, '');
    expect(withoutDate(readFileSync(join(out('whole'), 'result.json'), 'utf8'))).toBe(withoutDate(before));
  });

  it('takes the same options again, and refuses others', async () => {
    const same = await cli(folder, '--resume', ...settings, '--out', 'whole');
    expect(same).toMatchObject({ code: 0 });
    const other = await cli(folder, '--resume', '--seed', '6', '--out', 'whole');
    expect(other).toMatchObject({
      code: 2,
      err: 'demo: --resume goes on with the options the run was started with, and seed was 5, not 6: leave it out, or start over without --resume\n',
    });
  });

  it('needs a run, and an undamaged one', async () => {
    const missing = await cli(folder, '--resume', '--out', 'nowhere');
    expect(missing).toMatchObject({
      code: 2,
      err: `demo: there is no run to resume in "${out('nowhere')}": start one without --resume\n`,
    });
    const { name } = await interruptWithin('damaged', 'SIGINT', moments[0]!);
    const checkpoint = stateOf(name, 'fine-tune.safetensors');
    writeFileSync(checkpoint, readFileSync(checkpoint).subarray(0, 5000));
    const torn = await cli(folder, '--resume', '--out', name);
    expect(torn).toMatchObject({
      code: 2,
      err: expect.stringMatching(/demo: .*fine-tune.safetensors: the training state is damaged/) as string,
    });
    writeFileSync(stateOf(name, 'run.json'), '{"version": 1');
    const broken = await cli(folder, '--resume', '--out', name);
    expect(broken).toMatchObject({
      code: 2,
      err: expect.stringMatching(/demo: .*run.json is damaged: start over without --resume\n$/) as string,
    });
  });
});
