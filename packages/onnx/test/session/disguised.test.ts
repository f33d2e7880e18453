// The golden graphs again, with nothing left to know them by: other names, another order, values that pass through, constants elsewhere.
import { missingShared } from '@hip/testing';
import { PAPER_CONFIG } from '@hip/mask-search';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createHipSession } from '../../src/index.ts';
import { onnxModelBytes, onnxNode, openOnnxModel } from '../../src/model.ts';
import type { GraphProto, NodeProto } from '../../src/model/types.ts';
import { graphsOf } from '../../src/model/walk.ts';
import { goldenDifferences, GOLDENS } from '../helpers/goldens.ts';

const missing = missingShared('goldens/onnx');
const REFUSED = 'optimum-t5-decoder';
const COVERING = {
  threads: 1,
  denseBelow: 0,
  config: { ...PAPER_CONFIG, k: 64, window: 8, sink: 2, denseLayers: 0 },
};

/** Every name but those of inputs and outputs is another one, in branches too. */
function rename(graph: GraphProto, known: Map<string, string>): void {
  const own = (name: string): string => {
    if (name === '') return '';
    if (!known.has(name)) known.set(name, `v${known.size}`);
    return known.get(name)!;
  };
  for (const value of [...graph.input, ...graph.output, ...graph.valueInfo, ...graph.initializer])
    value.name = own(value.name);
  graph.name = '';
  for (const node of graph.node) {
    node.name = '';
    node.docString = '';
    node.metadataProps = [];
    node.input = node.input.map(own);
    node.output = node.output.map(own);
    for (const inner of graphsOf(node)) rename(inner, known);
  }
}

/** A constant that is a node becomes a weight. */
function constantsAsWeights(graph: GraphProto): void {
  graph.node = graph.node.filter((node) => {
    const tensor = node.opType === 'Constant' && node.attribute.find(({ name }) => name === 'value')?.t;
    if (!tensor) return true;
    tensor.name = node.output[0]!;
    graph.initializer.push(tensor);
    return false;
  });
}

/** Every third value, from a place on, goes through a node that changes nothing; attributes stand in another order. */
function passThrough(graph: GraphProto, place: number): void {
  let count = place;
  const isKept = new Set(graph.output.map(({ name }) => name));
  const added: NodeProto[] = [];
  for (const node of graph.node) {
    node.attribute.reverse();
    node.output = node.output.map((name, i) => {
      if (i > 0 || isKept.has(name) || ++count % 3 > 0) return name;
      added.push(onnxNode('Identity', [`${name}.before`], [name]));
      return `${name}.before`;
    });
  }
  graph.node.push(...added);
}

async function disguised(path: string, place: number): Promise<Uint8Array> {
  const model = await openOnnxModel(path);
  const { proto, graph } = model;
  const ends = [...graph.input, ...graph.output].map(({ name }) => [name, name] as const);
  rename(graph, new Map(ends));
  constantsAsWeights(graph);
  passThrough(graph, place);
  graph.node.reverse();
  graph.valueInfo = [];
  Object.assign(proto, { producerName: '', producerVersion: '', irVersion: proto.irVersion < 10n ? 10n : 11n });
  const bytes = await onnxModelBytes({ proto, weight: (tensor) => model.weight(tensor) });
  await model.close();
  return bytes;
}

describe.skipIf(missing)(`golden graphs without their names${missing}`, () => {
  it.each([...GOLDENS.keys()].filter((name) => name !== REFUSED))('%s', async (name) => {
    const model = await disguised(GOLDENS.get(name)!, name.length % 3);
    await using session = await createHipSession(ort, model, COVERING);
    expect(await goldenDifferences(name, session)).toEqual([]);
  });
});
