// Runs the code of the README and of the doc comments on whichever GPU there is, in a process of its own.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { dynamicImports, packageSnippets, SAME, withChecks } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

/** navigator.gpu is there first. */
function program(code: string): string {
  const { code: checked, checks } = withChecks(code);
  return `const { openGpu } = await import('@hip/testing/gpu'); const opened = await openGpu(); if (opened.kind === 'none') throw new Error(opened.reason);
    const devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...all) { const device = await request.apply(this, all); devices.push(device); return device; };
    ${SAME}
    ${dynamicImports(checked)}
    reached(${checks});
    // Dawn may crash where a process ends while the GPU is at work.
    await Promise.all(devices.map((device) => device.queue.onSubmittedWorkDone().catch(() => {})));
    process.exit(0);`;
}

const snippets = packageSnippets(root)
  .map(({ file, code }, index) => [`${file}, example ${index + 1}`, code] as const)
  // Fragments that show one call need names from around them.
  .filter(([, code]) => code.includes('import '));

describeGpu('the README', () => {
  it('has examples', () => {
    expect(snippets.length).toBeGreaterThanOrEqual(3);
  });

  it.each(snippets)('%s runs and prints what it shows', async (_, code) => {
    const run = promisify(execFile)(
      process.execPath,
      ['--input-type=module-typescript', '--no-warnings', '-e', program(code)],
      {
        cwd: root,
      },
    );
    await expect(run).resolves.toBeDefined();
  });
});
