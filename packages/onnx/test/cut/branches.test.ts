// Whether prompts of a graph may run in parts, and what mask each part is given.
import { describe, expect, it } from 'vitest';
import { partMaskOf } from '../../src/cut/branches.ts';
import { bytesWeight, onnxGraph, onnxModel, onnxNode, onnxValue } from '../../src/model.ts';
import type { NodeProto } from '../../src/model/types.ts';

const inputs = { tokens: 'ids', mask: 'mask', positions: 'positions' };
const branch = onnxGraph('branch', { output: [onnxValue('table', 'float')] });
const chooses = (by: string) =>
  onnxNode('If', [by], ['cos'], { attributes: { then_branch: branch, else_branch: branch } });
/** Whether there are more columns than a limit. */
const isLong = (of: string) => [
  onnxNode('Shape', [of], ['shape']),
  onnxNode('Gather', ['shape', 'one'], ['columns']),
  onnxNode('Greater', ['columns', 'limit'], ['is long']),
];

function maskOf(...nodes: readonly NodeProto[]): string | undefined {
  const proto = onnxModel(onnxGraph('piece', { node: [...nodes] }), { '': 21, 'com.microsoft': 1 }, { irVersion: 10 });
  const model = { proto, weight: () => bytesWeight(new Uint8Array()) };
  return partMaskOf({ types: new Map([['hidden', 1]]) }, { pieces: [{ model }] }, inputs);
}

describe('partMaskOf', () => {
  it.each<[string, readonly NodeProto[], string | undefined]>([
    ['nothing looks at the whole prompt', [onnxNode('Shape', ['mask'], ['shape'])], 'columns'],
    ['the largest of activations is no choice', [onnxNode('ReduceMax', ['hidden'], ['most'])], 'columns'],
    ['a branch by a constant is none', [chooses('constant')], 'columns'],
    ['the mask alone chooses', [...isLong('mask'), chooses('is long')], 'whole'],
    ['positions choose', [...isLong('positions'), chooses('is long')], undefined],
    ['the largest position is taken', [onnxNode('ReduceMax', ['positions'], ['most'])], undefined],
    [
      'the mask makes something else, too',
      [...isLong('mask'), chooses('is long'), onnxNode('CumSum', ['mask', 'one'], ['p'])],
      undefined,
    ],
    ['activations have one scale', [onnxNode('DynamicQuantizeLinear', ['hidden'], ['q', 's', 'z'])], undefined],
  ])('%s', (_, nodes, expected) => {
    expect(maskOf(...nodes)).toBe(expected);
  });
});
