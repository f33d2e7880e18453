// The code of README.md, of the doc comments and of packages/checkpoints/docs/adding-a-family.md runs.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { checkedProgram, packageSnippets, runProgram, snippetsOf, typeErrors } from '@hip/testing/examples';
import { openCheckpoint } from '../src/checkpoint.ts';
import type { Family } from '../src/families/family.ts';
import { families } from '../src/families/index.ts';
import { weightSlots } from '../src/model/slots.ts';
import { readSlots } from '../src/weights/read-slots.ts';

const root = join(import.meta.dirname, '..');
const models = sharedPath('models');
const llama = sharedPath('goldens', 'llama-gqa');
const FAMILY = 'docs/adding-a-family.md';

describe.skipIf(!models)(`documentation${missingShared('models')}`, () => {
  it('every example runs and prints what it shows', async () => {
    // The Hub is not there in tests; test/files/remote.test.ts has a local one.
    const snippets = packageSnippets(root).filter(({ code }) => !/hubFiles\(/.test(code));
    expect(snippets.length).toBeGreaterThanOrEqual(5);
    const { program, checks } = checkedProgram(
      snippets.map(({ file, code }) => ({
        file,
        code: code
          .replaceAll("'./books-lm-6m'", `'${models}/books-lm-6m'`)
          .replaceAll("'./SmolLM2", `'${models}/smollm2-135m-instruct/SmolLM2`),
      })),
    );
    expect(checks).toBeGreaterThanOrEqual(4);
    expect((await runProgram(program, root)).stdout).toMatch(/all of them\n$/);
  });
});

describe('families of one’s own', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(root, '.docs-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.skipIf(!llama)(`the family of ${FAMILY} opens a checkpoint${missingShared('goldens/llama-gqa')}`, async () => {
    const path = join(folder, 'ministral.ts');
    writeFileSync(path, snippetsOf(root, FAMILY)[0]!.code);
    const { ministral } = (await import(path)) as { ministral: Family };
    const types = (layer: number) => (layer % 2 === 0 ? 'full_attention' : 'sliding_attention');
    await using checkpoint = await openCheckpoint(llama!, {
      families: [...families, ministral],
      config: {
        model_type: 'ministral',
        architectures: ['MinistralForCausalLM'],
        sliding_window: 4096,
        layer_types: Array.from({ length: 9 }, (_, layer) => types(layer)),
      },
    });
    await using original = await openCheckpoint(llama!);
    const { config } = checkpoint;
    expect(config.family).toBe('ministral');
    expect(config.slidingWindows).toEqual(
      Array.from({ length: config.layers }, (_, layer) => (layer % 2 === 0 ? 0 : 4096)),
    );
    expect(await readSlots(checkpoint, weightSlots(config))).toEqual(await readSlots(original, weightSlots(config)));
  });

  it(`the examples of README.md and of ${FAMILY} pass tsc --strict`, async () => {
    const snippets = [...snippetsOf(root, 'README.md'), ...snippetsOf(root, FAMILY)];
    expect(snippets.length).toBeGreaterThanOrEqual(2);
    expect(await typeErrors(snippets.map(({ file, code }) => ({ name: file, code, folder: root })))).toEqual([]);
  });

  it(`every helper that ${FAMILY} names is exported, and the document is in the tarball`, async () => {
    const text = readFileSync(join(root, FAMILY), 'utf8');
    const named = ['readRope', 'elasticLayers', 'headKind', 'requireValue', 'labelCount', 'CONFIG_DEFAULTS'];
    const fields = [...text.matchAll(/`(\w+Field)`/g)].map(([, name]) => name!);
    expect(named.filter((name) => !text.includes(name))).toEqual([]);
    const exports = Object.keys(await import('@hip/checkpoints/families'));
    expect([...named, ...fields].filter((name) => !exports.includes(name))).toEqual([]);
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { readonly files: string[] };
    expect(manifest.files).toContain('docs');
  });
});
