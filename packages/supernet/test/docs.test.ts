// The code of README.md and of the doc comments runs.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import {
  dynamicImports,
  inOwnScope,
  packageSnippets,
  SAME,
  snippetsOf,
  typeErrors,
  withChecks,
  type Snippet,
} from '@hip/testing/examples';

const root = join(import.meta.dirname, '..');
const models = sharedPath('models');

/** What the fragments of doc comments take for granted: a tiny Llama with a real tokenizer, and data. */
const PRELUDE = `
  import { readFile, writeFile } from 'node:fs/promises';
  import * as tf from '@tensorflow/tfjs';
  import '@tensorflow/tfjs-backend-wasm';
  import * as supernet from '@instatune/supernet';
  await tf.setBackend('wasm');
  const raw = { architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 4,
    num_key_value_heads: 2, head_dim: 4, intermediate_size: 24, vocab_size: 4096, max_position_embeddings: 4096, tie_word_embeddings: true };
  const config = supernet.findFamily(raw).readConfig(raw);
  const model = new supernet.TransformerModel(config, new Map(supernet.weightSlots(config).map(({ name, shape }) =>
    [name, Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => 0.3 * Math.sin(i * i))])));
  const tokenizer = await supernet.loadTokenizer(supernet.folderFiles(MODELS + '/books-lm-6m'));
  const text = 'It was a dark and stormy night, and nobody spoke. '.repeat(160);
  const { train } = supernet.splitText(tokenizer.encode(text), { length: 128 });
  const data = train;
  const [subnet, candidate] = [supernet.smallestSubnet(model.space), supernet.smallestSubnet(model.space)];
  const inputIds = tf.tensor2d([[5, 7, 9]], [1, 3], 'int32');
  const gradients = new Map();
  const previousJson = undefined;
  await writeFile('train.tsv', 'sentence\\tlabel\\na delight\\t1\\n');
  ${SAME}`;

/** One module for all: each snippet in a function of its own, its imports dynamic, other names out of the package. */
function program(snippets: readonly Snippet[], checks: number): string {
  const parts = snippets.map(({ file, code }) => {
    const body = dynamicImports(code);
    const own = new Set([...body.matchAll(/const \{([^}]*)\} = await import/g)].flatMap((m) => m[1]!.split(/[\s,]+/)));
    const used = [...new Set(body.match(/\b[A-Za-z]\w*\b/g))].filter((name) => !own.has(name));
    const names = used.filter((name) => exported.has(name)).join(', ');
    return inOwnScope({ file, code: `const { ${names} } = supernet;\nawait (async () => {\n${body}\n})();` });
  });
  return [
    PRELUDE.replace('MODELS', JSON.stringify(models)),
    ...parts,
    `reached(${checks});`,
    "console.log('all of them');",
  ].join('\n');
}

let exported: ReadonlySet<string>;

describe.skipIf(!models)(`documentation${missingShared('models')}`, () => {
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(root, '.docs-'));
    exported = new Set(Object.keys(await import('../src/index.ts')));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('every example runs and prints what it shows', async () => {
    const snippets = packageSnippets(root);
    expect(snippets.length).toBeGreaterThanOrEqual(20);
    let checks = 0;
    const checked = snippets.map(({ file, code }) => {
      const short = code.replaceAll(/steps: \d{3,}/g, 'steps: 2').replaceAll("'../shared/models", `'${models}`);
      const one = withChecks(short.replaceAll(/'\.\/(bert-mini|books-lm-6m|minilm-l6)'/g, `'${models}/$1'`), checks);
      checks += one.checks;
      return { file, code: one.code };
    });
    expect(checks).toBeGreaterThanOrEqual(6);
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module-typescript', '--no-warnings', '-e', program(checked, checks)],
      { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' } },
    );
    expect(stdout).toMatch(/all of them\n$/);
  });
});

describe('what users see of the package', () => {
  it('the examples of README.md pass tsc --strict', async () => {
    const snippets = snippetsOf(root, 'README.md');
    expect(snippets.length).toBeGreaterThanOrEqual(4);
    expect(await typeErrors(snippets.map(({ file, code }) => ({ name: file, code, folder: root })))).toEqual([]);
  });
});
