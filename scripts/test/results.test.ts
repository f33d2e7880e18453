// The closing line of `npm test`: what counts as failed, and which skipped tests fail CI.
import { describe, expect, it } from 'vitest';
import { addUp, mayBeSkippedInCi } from '../lib/results.mjs';

const test = (status: string, fullName = status) => ({ status, fullName });
const file = (name: string, ...assertionResults: ReturnType<typeof test>[]) => ({
  name,
  status: assertionResults.some(({ status }) => status === 'failed') ? 'failed' : 'passed',
  message: '',
  assertionResults,
});

describe('addUp', () => {
  it('counts over packages', () => {
    const { totals, packages, ok } = addUp(
      [
        { name: 'a', report: { testResults: [file('x', test('passed'), test('passed')), file('y', test('pending'))] } },
        { name: 'b', report: { testResults: [file('z', test('passed'), test('todo'))] } },
      ],
      { ci: false },
    );
    expect(totals).toEqual({ passed: 3, failed: 0, skipped: 2 });
    expect(packages).toEqual(['a: 2 passed, 0 failed, 1 skipped', 'b: 1 passed, 0 failed, 1 skipped']);
    expect(ok).toBe(true);
  });

  it('fails on a failed test, a file that did not load and a package without results', () => {
    const broken = { name: 'broken.ts', status: 'failed', message: 'SyntaxError: no\n at x', assertionResults: [] };
    const { totals, failures, ok } = addUp(
      [
        { name: 'a', report: { testResults: [file('x', test('failed', 'adds')), broken] } },
        { name: 'b', report: undefined },
        { name: 'c', report: { testResults: [] } },
      ],
      { ci: false },
    );
    expect(ok).toBe(false);
    expect(totals.failed).toBe(4);
    expect(failures).toEqual([
      'FAILED x > adds',
      'FAILED broken.ts: SyntaxError: no',
      'FAILED b: no test results (its run failed before any test)',
      'FAILED c: no tests',
    ]);
  });

  it('counts a file that fails after its tests passed, for instance in a hook', () => {
    const report = { testResults: [{ ...file('x', test('passed')), status: 'failed', message: 'afterAll threw' }] };
    expect(addUp([{ name: 'a', report }], { ci: false }).failures).toEqual(['FAILED x: afterAll threw']);
    const silent = { testResults: [{ ...report.testResults[0]!, message: '' }] };
    expect(addUp([{ name: 'a', report: silent }], { ci: false }).failures).toEqual([
      'FAILED x: a hook failed, or did not end',
    ]);
  });

  it('fails CI, and only CI, on skipped tests', () => {
    const report = { testResults: [file('gpu.test.ts', test('pending', 'sum WebGPU skipped: no GPU'))] };
    expect(addUp([{ name: 'a', report }], { ci: false }).ok).toBe(true);
    const { ok, forbidden } = addUp([{ name: 'a', report }], { ci: true });
    expect(ok).toBe(false);
    expect(forbidden).toEqual(['gpu.test.ts > sum WebGPU skipped: no GPU']);
  });
});

describe('mayBeSkippedInCi', () => {
  it.each([
    ['queue.test.ts > queue (skipped: no redis-server on this machine) re-queues', true],
    ['queue.test.ts > queue redis', false],
    ['webgpu redis (skipped: no adapter)', false],
    ['gpu.test.ts > WebGPU skipped: no redis here', false],
    ['books.test.ts > (skipped: no ../shared/models)', false],
    ['a.test.ts > adds', false],
  ])('%s: %s', (name, allowed) => {
    expect(mayBeSkippedInCi(name)).toBe(allowed);
  });

  it('lets a machine without the shared data say so, for the shared data only', () => {
    expect(mayBeSkippedInCi('a.test.ts > books (skipped: no ../shared/models) reads', 'shared')).toBe(true);
    expect(mayBeSkippedInCi('a.test.ts > WebGPU (software) books (skipped: no ../shared/models)', 'shared')).toBe(true);
    expect(mayBeSkippedInCi('a.test.ts > sum WebGPU skipped: no libvulkan.so.1 can be loaded', 'shared')).toBe(false);
    expect(mayBeSkippedInCi('a.test.ts > books', 'shared')).toBe(false);
  });
});
