// The code of the README and of the doc comments runs as a user would run it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { checkedProgram, packageSnippets, runProgram } from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');
const missing = missingShared('goldens/onnx');

it.skipIf(missing)(`every example runs and prints what it shows${missing}`, async () => {
  const out = mkdtempSync(join(tmpdir(), 'hip-onnx-readme-'));
  const model = sharedPath('goldens', 'onnx', 'hub-llama');
  const snippets = packageSnippets(root).map(({ file, code }) => ({
    file,
    code: code
      .replaceAll("'./model/", `'${model}/`)
      .replaceAll("'./large/", `'${model}/onnx/`)
      .replaceAll("'./out/", `'${out}/`),
  }));
  const { program, checks } = checkedProgram(snippets);
  expect(checks).toBeGreaterThanOrEqual(2);
  expect((await runProgram(program, root)).stdout).toMatch(/all of them\n$/);
  rmSync(out, { recursive: true, force: true });
});
