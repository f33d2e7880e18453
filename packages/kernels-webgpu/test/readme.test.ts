// Runs the code of the README and of the doc comments on whichever GPU there is, in a process of its own.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { packageSnippets } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');

/** `console.log(expression); // text` becomes a check; navigator.gpu is there first. */
function program(code: string): string {
  const body = code.replaceAll(
    /^console\.log\((.*)\); \/\/ (.*)$/gm,
    (_, expression: string, text: string) =>
      `{ const got = JSON.stringify(${expression}); if (got.replaceAll(' ', '') !== ${JSON.stringify(text.replaceAll(' ', ''))}) throw new Error(got + ' is not ' + ${JSON.stringify(text)}); }`,
  );
  const imports = body
    .replaceAll(
      /^import (.*) from ('[^']*');$/gm,
      (_, names: string, module: string) => `const ${names.replace('* as ', '')} = await import(${module});`,
    )
    .replaceAll(/^import ('[^']*');$/gm, 'await import($1);');
  return `const { openGpu } = await import('@hip/testing/gpu'); const opened = await openGpu(); if (opened.kind === 'none') throw new Error(opened.reason);
    const devices = [];
    const request = GPUAdapter.prototype.requestDevice;
    GPUAdapter.prototype.requestDevice = async function (...all) { const device = await request.apply(this, all); devices.push(device); return device; };
    ${imports}
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

  it.each(snippets)('%s runs and prints what it says', async (_, code) => {
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
