// The golden graphs in other words: other names, another order, nodes that change nothing, constants elsewhere, later opsets. What is cut
// gives the same numbers; what is not is refused in words, never wrong.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingShared } from '@hip/testing';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createHipSession, OnnxError, type HipSession } from '../../src/index.ts';
import { openOnnxModel, writeOnnxModel } from '../../src/model.ts';
import { disguised, type Disguise } from '../helpers/disguise.ts';
import { goldenDifferences, GOLDENS } from '../helpers/goldens.ts';
import { COVERING } from '../helpers/tiny-runs.ts';

const missing = missingShared('goldens/onnx');
const REFUSED = 'optimum-t5-decoder';
const names = [...GOLDENS.keys()].filter((name) => name !== REFUSED);

const DISGUISES: Readonly<Record<string, Omit<Disguise, 'seed'>>> = {
  'copies, constants as weights': {},
  'casts, reshapes, axes': { kinds: ['cast', 'reshape', 'axes'], passing: 0.4 },
  'what optimizers leave, constants as nodes': {
    kinds: ['dropout', 'concat', 'slice', 'scale', 'identity'],
    passing: 0.6,
    constants: 'nodes',
  },
  'the next opset': { opsetsMore: 1, kinds: ['identity', 'cast'] },
};

async function differences(name: string, model: Uint8Array | string): Promise<readonly string[]> {
  await using session = await createHipSession(ort, model, COVERING);
  return await goldenDifferences(name, session);
}

/** What is wrong with a cut graph; nothing where it is refused by a node, with a reason. */
async function faults(name: string, model: Uint8Array): Promise<readonly string[]> {
  let session: HipSession;
  try {
    session = await createHipSession(ort, model, COVERING);
  } catch (error) {
    const said = error instanceof OnnxError ? `${error.code}: ${error.message}` : String(error);
    return /^unsupported: \S+ → \S+ cannot be cut out: ./.test(said) ? [] : [said];
  }
  await using cut = session;
  return await goldenDifferences(name, cut);
}

describe.skipIf(missing)(`golden graphs in other words${missing}`, () => {
  it.each(names)('%s', async (name) => {
    const found: Record<string, readonly string[]> = {};
    for (const [what, disguise] of Object.entries(DISGUISES)) {
      found[what] = await differences(name, await disguised(GOLDENS.get(name)!, { seed: name.length, ...disguise }));
    }
    expect(found).toEqual(Object.fromEntries(Object.keys(DISGUISES).map((what) => [what, []])));
  });

  it.each(names)('%s: with nodes between that nobody knows, it is the same or refused by a node', async (name) => {
    const found: string[] = [];
    for (const [i, passing] of [0.3, 0.1, 0.03].entries()) {
      const model = await disguised(GOLDENS.get(name)!, { seed: 11 + i, kinds: ['unknown'], passing });
      found.push(...(await faults(name, model)));
    }
    expect(found).toEqual([]);
  });

  it.each(['hub-llama', 'dynamo-llama-op23', 'optimum-gpt2'])('%s: with its weights in another file', async (name) => {
    const folder = await mkdtemp(join(tmpdir(), 'disguised-'));
    try {
      const model = await openOnnxModel(await disguised(GOLDENS.get(name)!, { seed: 3, kinds: ['cast'] }));
      const path = join(folder, 'model.onnx');
      await writeOnnxModel(model, path, { externalData: true });
      await model.close();
      expect(await differences(name, path)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
