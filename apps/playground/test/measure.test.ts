// The page Measure in headless Chromium: our kernels and both peers on wasm and on WebGPU, stopped, asked for nonsense, loaded again.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeBrowser } from '@hip/testing';
import type { TestPage } from '@hip/testing/browser';
import { storedResults } from '../build/stored.ts';
import { casesOf, LENGTHS, parseLengths } from '../src/measure/cases.ts';
import { interleave, median, type Candidate } from '../src/measure/interleave.ts';
import type { MeasuredRow } from '../src/measure/protocol.ts';
import { byCase, compare } from '../src/measure/report.ts';
import { builtSite, openIsolated, picture, press, pressWhen, text, waitForText, wide } from './site.ts';

describe('lengths', () => {
  it('are read in any order, each once', () => {
    const [least, most] = LENGTHS.prefill;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: least, max: most }), { maxLength: 9 }), (lengths) => {
        expect(parseLengths(lengths.join(', '), 'prefill')).toEqual([...new Set(lengths)].sort((a, b) => a - b));
      }),
    );
  });

  it.each(['12', '1e3', '-1024', '1024.5', 'many', '99999999'])('refuse %s, and name it', (text) => {
    expect(() => parseLengths(`1024, ${text}`, 'prefill')).toThrow(
      expect.objectContaining({ code: 'invalid-lengths', message: expect.stringContaining(`"${text}"`) as string }),
    );
  });

  it('and runs must be there', () => {
    const wish = { prefill: '128', decode: '', runs: 2, devices: ['wasm'] } as const;
    expect(casesOf(wish)).toEqual([{ part: 'prefill', device: 'wasm', tokens: 128 }]);
    for (const runs of [0, 51, 1.5, Number.NaN])
      expect(() => casesOf({ ...wish, runs })).toThrow(expect.objectContaining({ code: 'invalid-runs' }));
    expect(() => casesOf({ ...wish, prefill: ' ' })).toThrow(expect.objectContaining({ code: 'nothing-to-measure' }));
  });
});

describe('candidates in turns', () => {
  const options = { pause: async () => undefined, signal: new AbortController().signal };
  let clock = 0;
  const order: string[] = [];
  const candidate = (name: Candidate['name'], ms: number, failsAt = Infinity, perRun = 1): Candidate => {
    let ran = 0;
    return {
      name,
      perRun,
      run: async () => {
        order.push(name);
        if (ran++ === failsAt) throw Object.assign(new Error('no room'), { code: 'out-of-memory' });
        clock += ms;
      },
      close: () => undefined,
    };
  };

  it('warm up, alternate, and are timed by the call; one that fails drops out', async () => {
    order.length = 0;
    const all = [candidate('hip', 8, Infinity, 8), candidate('tfjs', 3, 2), candidate('dense', 5)];
    const timed = await interleave(all, { ...options, runs: 3, now: () => clock });
    expect(order.join(' ')).toBe('hip tfjs dense hip tfjs dense hip tfjs dense hip dense');
    expect(timed.get('hip')).toEqual({ ms: [1, 1, 1] });
    expect(timed.get('dense')).toEqual({ ms: [5, 5, 5] });
    expect(timed.get('tfjs')!.failure).toEqual({ code: 'out-of-memory', message: 'no room' });
  });

  it('are not repeated beyond the budget', async () => {
    const timed = await interleave([candidate('tfjs', 60), candidate('hip', 1)], {
      ...options,
      runs: 4,
      budgetMs: 50,
      now: () => clock,
    });
    expect(timed.get('tfjs')).toEqual({ ms: [60] });
    expect(timed.get('hip')!.ms).toHaveLength(4);
  });

  it('stop when they are told to', async () => {
    const controller = new AbortController();
    const onRun = (): void => controller.abort();
    await expect(
      interleave([candidate('hip', 1)], { ...options, runs: 5, onRun, signal: controller.signal }),
    ).rejects.toThrow(expect.objectContaining({ code: 'aborted' }));
  });

  it('have the median of a sorted list', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }), (values) => {
        const middle = median(values);
        expect(values.filter((one) => one < middle).length).toBeLessThanOrEqual(values.length / 2);
        expect(values.filter((one) => one > middle).length).toBeLessThanOrEqual(values.length / 2);
      }),
    );
  });
});

describe('stored results', () => {
  it('are few, and of the page’s shapes', () => {
    const stored = storedResults();
    for (const candidate of ['hip', 'dense', 'onnxruntime', 'tfjs'])
      expect(stored.some((row) => row.device === 'wasm' && row.part === 'prefill' && row.candidate === candidate)).toBe(
        true,
      );
    expect(stored.some(({ device }) => device === 'webgpu')).toBe(true);
    expect(JSON.stringify(stored).length).toBeLessThan(10_000);
    const row = { part: 'prefill', device: 'wasm', tokens: 2048, heads: 8, kvHeads: 8, headDim: 64 } as const;
    const [hip, dense] = compare(
      [
        { ...row, candidate: 'hip', ms: 2 },
        { ...row, candidate: 'dense', ms: 6 },
      ],
      stored,
    );
    expect(hip!.timesHip).toBe(1);
    expect(dense!.timesHip).toBe(3);
    expect(dense!.storedTimesHip).toBe(dense!.storedMs! / hip!.storedMs!);
    expect(byCase([hip!, dense!])).toEqual([[hip, dense]]);
  });
});

describeBrowser('measure', (open) => {
  let site: string;
  let tab: TestPage;
  beforeAll(async () => {
    site = await builtSite();
    tab = await open({ root: site, isolated: false });
    await openIsolated(tab.page, `${tab.url}/measure/`);
  });
  afterAll(async () => {
    await tab?.[Symbol.asyncDispose]();
  });
  const ask = async (devices: string, values: Readonly<Record<string, string>>): Promise<void> => {
    await tab.page.select('select[name=devices]', devices);
    for (const [name, value] of Object.entries(values))
      await tab.page.$eval(
        `input[name=${name}]`,
        (input, next) => void ((input as unknown as { value: string }).value = next),
        value,
      );
    await press(tab.page, 'button[name=measure]');
  };
  const report = async (): Promise<{ environment: Record<string, unknown>; rows: MeasuredRow[] }> =>
    JSON.parse(
      await tab.page.$eval('textarea[name=json]', (area) => (area as unknown as { value: string }).value),
    ) as Awaited<ReturnType<typeof report>>;
  /** Each was measured, and what is exact computes the same. */
  const check = (rows: readonly MeasuredRow[]): void => {
    expect(rows.filter(({ failure }) => failure)).toEqual([]);
    for (const { candidate, ms, runs, difference } of rows) {
      expect(ms).toBeGreaterThan(0);
      expect(runs).toBeGreaterThan(0);
      if (candidate === 'onnxruntime' || candidate === 'tfjs') expect(difference).toBeLessThan(1e-3);
    }
  };

  it('says what is wrong with what it is asked for', async () => {
    await ask('wasm', { prefill: '1024, soon', decode: '', runs: '2' });
    expect(await waitForText(tab.page, '[role=alert]', /invalid-lengths/)).toContain('"soon"');
    await ask('wasm', { prefill: '128', decode: '', runs: '' });
    await waitForText(tab.page, '[role=alert]', /invalid-runs/);
    await ask('wasm', { prefill: '', decode: ' ', runs: '2' });
    await waitForText(tab.page, '[role=alert]', /nothing-to-measure/);
  });

  it('runs ours and the peers on wasm, and gives the figures as JSON', async () => {
    const { page } = tab;
    await ask('wasm', { prefill: '256', decode: '512', runs: '2' });
    expect(await waitForText(page, '.status', /^Measured 8 rows/)).toMatch(/threads?/);
    const { environment, rows } = await report();
    check(rows);
    expect(environment).toMatchObject({ isolated: true, versions: { 'onnxruntime-web': '1.30.0' } });
    expect(await page.$$eval('table', (all) => all.length)).toBe(2);
    expect(await wide(page)).toBe(0);
    await press(page, 'button[name=copy]');
    await waitForText(page, '.copied', /Copied|forbids/);
    await picture(page, 'measure');
    await picture(page, 'measure-phone', 360);
  });

  it('stops, and is as it was after a reload', async () => {
    const { page } = tab;
    const measured = ['.bar', /prefill, 1024 tokens, wasm: /] as const;
    await pressWhen(page, 'button[name=stop]', measured, () =>
      ask('wasm', { prefill: '1024', decode: '', runs: '50' }),
    );
    await waitForText(page, '.status', /^Stopped/);
    await page.reload({ waitUntil: 'load' });
    await waitForText(page, '.status', /^Nothing has been measured/);
    expect(await page.$$('table')).toHaveLength(0);
  });

  it('runs them on WebGPU; in software only where that alone was asked for', async () => {
    const { page } = tab;
    await ask('webgpu', { prefill: '64', decode: '64', runs: '1' });
    await waitForText(page, '.status', /^Measured 8 rows/);
    const { rows } = await report();
    // SwiftShader's subgroups have four lanes: there onnxruntime-web 1.30 computes a prompt's rows wrong from the fifth on.
    const isWrong = ({ part, candidate }: MeasuredRow): boolean => part === 'prefill' && candidate === 'onnxruntime';
    for (const { failure, difference } of rows.filter(isWrong))
      expect(failure?.code).toBe(difference! < 0.01 ? undefined : 'wrong-output');
    check(rows.filter((row) => !isWrong(row)));
    await ask('both', { prefill: '', decode: '64', runs: '1' });
    await waitForText(page, '.status', /^Measured 8 rows/);
    const both = (await report()).rows;
    check(both.filter(({ device }) => device === 'wasm'));
    expect(both.filter(({ failure }) => failure?.code === 'software-webgpu')).toHaveLength(4);
    expect(tab.errors.filter((error) => !/ERR_ABORTED|ERR_FAILED|404/.test(error))).toEqual([]);
  });

  it('says of a peer that is missing why, and measures the others', async () => {
    const { page } = tab;
    rmSync(join(site, 'onnxruntime/ort.wasm.min.mjs'));
    await ask('wasm', { prefill: '64', decode: '', runs: '1' });
    await waitForText(page, '.status', /^Measured 4 rows/);
    expect(await text(page, '[data-candidate=onnxruntime]')).toMatch(
      /peer-missing onnxruntime-web cannot be loaded from/,
    );
    const { rows } = await report();
    expect(rows.filter(({ ms }) => ms !== undefined).map(({ candidate }) => candidate)).toEqual([
      'hip',
      'dense',
      'tfjs',
    ]);
  });
});
