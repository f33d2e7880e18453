// What is no model is refused in typed words: cut short, of other sizes than it says, with cycles, without its data.
import * as fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  bytesWeight,
  memoryFiles,
  onnxGraph,
  onnxModel,
  onnxModelBytes,
  onnxNode,
  onnxTensor,
  onnxValue,
  OnnxError,
  openOnnxModel,
  renderedBytes,
  renderOnnxModel,
  type NodeProto,
  type OnnxModelToWrite,
} from '../../src/model.ts';

/** x · w, w beside the model or in it. */
function small(node?: readonly NodeProto[]): OnnxModelToWrite {
  const weight = new Float32Array(32 * 16).map((_, i) => i / 100);
  const graph = onnxGraph('small', {
    node: [...(node ?? [onnxNode('MatMul', ['x', 'w'], ['y'], { name: 'product' })])],
    initializer: [onnxTensor('w', 'float', [32, 16]), onnxTensor('one', 'int64', [1], BigInt64Array.of(1n))],
    input: [onnxValue('x', 'float', ['batch', 32])],
    output: [onnxValue('y', 'float', ['batch', 16])],
  });
  const bytes = new Uint8Array(weight.buffer);
  return { proto: onnxModel(graph, { '': 21 }, { irVersion: 10 }), weight: () => bytesWeight(bytes) };
}

async function rendered(): Promise<Record<string, Uint8Array>> {
  const files = await renderOnnxModel(small(), { externalData: true });
  const bytes = files.map(async (file) => [file.name, await renderedBytes(file)] as const);
  return Object.fromEntries(await Promise.all(bytes));
}

async function codeOf(action: Promise<unknown>): Promise<string> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error === undefined) return 'opened';
  if (!(error instanceof OnnxError)) throw new Error('not typed', { cause: error });
  return error.code;
}

describe('what is no model', () => {
  let whole = new Uint8Array();
  beforeAll(async () => {
    whole = await onnxModelBytes(small());
  });

  it('opens as it was written', async () => {
    const model = await openOnnxModel(whole);
    const { graph } = model;
    expect(graph.node.map(({ opType }) => opType)).toEqual(['MatMul']);
    expect((await model.weight(graph.initializer[0]!).read()).byteLength).toBe(2048);
    expect(await model.weight(graph.initializer[1]!).read()).toEqual(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
  });

  it('cut short anywhere, is refused', async () => {
    const outcomes = new Set<string>();
    for (let end = 0; end < whole.byteLength; end += end < 200 || end > whole.byteLength - 200 ? 1 : 97) {
      const opening = openOnnxModel(whole.subarray(0, end));
      outcomes.add(await codeOf(opening));
    }
    expect([...outcomes]).toEqual(['invalid-model']);
  });

  it('with other bytes in places, is opened or refused with a typed error', async () => {
    const place = fc.record({ at: fc.nat({ max: 100_000 }), byte: fc.nat({ max: 255 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(place, { minLength: 1, maxLength: 5 }), async (places) => {
        const bytes = whole.slice();
        for (const { at, byte } of places) {
          // The weight's elements are any bytes.
          const index = at % 400;
          bytes[index < 200 ? index : bytes.byteLength - 400 + index] = byte;
        }
        await openOnnxModel(bytes).then(
          (model) => model.close(),
          (error: unknown) => expect(error).toBeInstanceOf(OnnxError),
        );
      }),
    );
  });

  it.each([
    ['a page', '<!doctype html><html><body>Not found</body></html>'],
    ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n'],
    ['nothing', ''],
  ])('%s is no model', async (_, text) => {
    expect(await codeOf(openOnnxModel(new TextEncoder().encode(text)))).toBe('invalid-model');
  });

  it.each<[string, NodeProto[], string]>([
    ['a cycle', [onnxNode('Add', ['x', 'z'], ['y']), onnxNode('Relu', ['y'], ['z'])], 'waits for what it makes'],
    ['a value that nothing makes', [onnxNode('Add', ['x', 'ghost'], ['y'])], 'reads ghost'],
    ['a value made twice', [onnxNode('Relu', ['x'], ['y']), onnxNode('Neg', ['x'], ['y'])], 'made elsewhere'],
    ['a weight made again', [onnxNode('Relu', ['x'], ['w']), onnxNode('Neg', ['w'], ['y'])], 'made elsewhere'],
    ['an output that nothing makes', [onnxNode('Relu', ['x'], ['z'])], 'output y'],
  ])('%s', async (_, nodes, words) => {
    const opening = openOnnxModel(await onnxModelBytes(small(nodes)));
    await expect(opening).rejects.toThrow(words);
    await expect(opening).rejects.toMatchObject({ code: 'invalid-graph' });
  });

  it('nodes that are out of order are sorted', async () => {
    const nodes = [onnxNode('Relu', ['b'], ['y']), onnxNode('Neg', ['a'], ['b']), onnxNode('Abs', ['x'], ['a'])];
    const { graph } = await openOnnxModel(await onnxModelBytes(small(nodes)));
    expect(graph.node.map(({ opType }) => opType)).toEqual(['Abs', 'Neg', 'Relu']);
  });

  it('branches read values around them, and are checked too', async () => {
    const branch = (read: string, name: string) =>
      onnxGraph(name, { node: [onnxNode('Relu', [read], [name])], output: [onnxValue(name, 'float')] });
    const chosen = (read: string) =>
      onnxNode('If', ['one'], ['y'], {
        attributes: { then_branch: branch(read, 'yes'), else_branch: branch('x', 'no') },
      });
    const late = [chosen('a'), onnxNode('Abs', ['x'], ['a'])];
    const { graph } = await openOnnxModel(await onnxModelBytes(small(late)));
    expect(graph.node.map(({ opType }) => opType)).toEqual(['Abs', 'If']);
    expect(await codeOf(openOnnxModel(await onnxModelBytes(small([chosen('ghost')]))))).toBe('invalid-graph');
  });

  it('sizes that lie', async () => {
    const lying = small();
    const model = { ...lying, weight: () => bytesWeight(new Uint8Array(2044)) };
    expect(await codeOf(openOnnxModel(await onnxModelBytes(model)))).toBe('invalid-model');
    for (const dims of [
      [-1, 16],
      [2 ** 40, 2 ** 40],
      [32, 17],
    ]) {
      lying.proto.graph!.initializer[0]!.dims = dims.map(BigInt);
      expect(await codeOf(openOnnxModel(await onnxModelBytes(lying)))).toBe('invalid-model');
    }
  });

  it('external data that is not there, is cut short, or lies outside', async () => {
    const files = await rendered();
    const data = files['model.onnx_data']!;
    const open = (given: Record<string, Uint8Array>) => openOnnxModel(memoryFiles(given));
    await (await open(files)).close();
    expect(await codeOf(open({ 'model.onnx': files['model.onnx']! }))).toBe('missing-data');
    expect(await codeOf(open({ ...files, 'model.onnx_data': data.subarray(0, 2000) }))).toBe('missing-data');
    expect(await codeOf(open({ 'model.onnx_data': data }))).toBe('file-not-found');
    for (const [key, value] of [
      ['location', '../secret'],
      ['location', '/etc/passwd'],
      ['location', ''],
      ['offset', '-4'],
      ['offset', '1e400'],
      ['length', '7'],
    ] as const) {
      const model = await open(files);
      model.graph.initializer[0]!.externalData.find((entry) => entry.key === key)!.value = value;
      // Encoded as it is: what is external stays so where it is below the least size.
      const encoded = await renderOnnxModel(
        { ...model, weight: () => bytesWeight(new Uint8Array(0)) },
        { externalData: true },
      );
      const bytes = await renderedBytes(encoded.at(-1)!);
      expect(await codeOf(open({ ...files, 'model.onnx': bytes })), `${key} ${value}`).toBe('invalid-model');
    }
  });
});
