// Models of public exporters are read and written again: the same graph, the same weights, inside the file and beside it.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { onnxModelBytes, openOnnxModel, tensorsOf, writeOnnxModel, type OnnxModel } from '../../src/model.ts';

const missing = missingShared('goldens/onnx');
const goldens = sharedPath('goldens', 'onnx') ?? '';
const MODELS = missing
  ? []
  : globSync('*/{.,onnx}/*.onnx', { cwd: goldens })
      .map((path) => normalize(path))
      .toSorted();

async function weights(model: OnnxModel): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  let index = 0;
  for (const tensor of tensorsOf(model.proto)) {
    found.set(`${tensor.name}#${index++}`, await model.weight(tensor).read());
  }
  return found;
}

function described({ proto }: OnnxModel): object {
  const { node, input, output, valueInfo, initializer } = proto.graph!;
  const shapes = initializer.map(({ name, dims, dataType }) => ({ name, dims, dataType }));
  return { node, input, output, valueInfo, shapes, opsets: proto.opsetImport, ir: proto.irVersion };
}

describe.skipIf(missing)(`models of public exporters${missing}`, () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hip-onnx-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(MODELS)('%s', async (name) => {
    const source = `${goldens}/${name}`;
    const model = await openOnnxModel(source);
    const expected = await weights(model);
    const bytes = await onnxModelBytes(model);
    const files = await writeOnnxModel(model, `${folder}/${name}/model.onnx`, {
      externalData: true,
      maxFileBytes: 200_000,
    });
    expect(files.length).toBeGreaterThan(1);
    expect(files.at(-1)).toBe('model.onnx');
    expect((await readdir(`${folder}/${name}`)).toSorted()).toEqual([...files].toSorted());
    for (const again of [await openOnnxModel(bytes), await openOnnxModel(`${folder}/${name}`)]) {
      expect(described(again)).toEqual(described(model));
      expect(await weights(again)).toEqual(expected);
      await again.close();
    }
    await model.close();
  });

  it('onnxruntime answers the same, whichever way the weights lie', async () => {
    const model = await openOnnxModel(`${goldens}/optimum-gpt2-nocache`);
    await writeOnnxModel(model, `${folder}/runs/model.onnx`, { externalData: true });
    const feeds = {
      input_ids: new ort.Tensor('int64', BigInt64Array.from([5n, 6n, 7n]), [1, 3]),
      attention_mask: new ort.Tensor('int64', BigInt64Array.from([1n, 1n, 1n]), [1, 3]),
      position_ids: new ort.Tensor('int64', BigInt64Array.from([0n, 1n, 2n]), [1, 3]),
    };
    const run = async (session: ort.InferenceSession) => {
      const given = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
      const { logits } = await session.run(Object.fromEntries(given));
      await session.release();
      return logits!.data;
    };
    const expected = await run(await ort.InferenceSession.create(`${goldens}/optimum-gpt2-nocache/model.onnx`));
    expect(await run(await ort.InferenceSession.create(`${folder}/runs/model.onnx`))).toEqual(expected);
    expect(await run(await ort.InferenceSession.create(await onnxModelBytes(model)))).toEqual(expected);
    await model.close();
  });
});
