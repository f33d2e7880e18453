// Products with weights and lookups in the token table, as floats, as 8-bit codes and as 4-bit codes.
import { CONTRIB, floatBytes, TO, type OnnxGraph } from './graph.ts';
import { lazy, TABLE, type ExportWeights } from './weights.ts';

/** x · W (+ b); `name` without `.weight`. x [..., in] → [..., out]. */
export function linearNodes(graph: OnnxGraph, weights: ExportWeights, x: string, name: string): string {
  const product = productNodes(graph, weights, x, `${name}.weight`);
  if (!weights.has(`${name}.bias`)) return product;
  return graph.op('Add', [product, weights.float(graph, `${name}.bias`)]);
}

/** x · W of a matrix slot, or x · tableᵀ of the token embeddings. */
export function productNodes(graph: OnnxGraph, weights: ExportWeights, x: string, name: string): string {
  const coding = weights.codingOf(name);
  if (coding === 'bytes') return byteProduct(graph, weights, x, name);
  if (coding) return blockProduct(graph, weights, x, name);
  if (name !== TABLE) return graph.op('MatMul', [x, weights.float(graph, name)]);
  // Gemm reads the table as it lies, so that it is in memory once.
  const { inputs } = weights.matrixOf(name);
  const rows = graph.op('Reshape', [x, graph.int([-1, inputs])]);
  const product = graph.op('Gemm', [rows, weights.float(graph, name)], { transB: 1n });
  const shape = graph.op('Shape', [x]);
  const outer = graph.op('Slice', [shape, graph.int([0]), graph.int([-1])]);
  return graph.op('Reshape', [product, graph.op('Concat', [outer, graph.int([-1])], { axis: 0n })]);
}

/** Rows of the token table for ids. */
export function lookupNodes(graph: OnnxGraph, weights: ExportWeights, ids: string): string {
  const coding = weights.codingOf(TABLE);
  if (coding === undefined) return graph.op('Gather', [weights.float(graph, TABLE), ids]);
  const { inputs, outputs } = weights.matrixOf(TABLE);
  if (coding === 'bytes') {
    const { codes, scales } = byteWeights(graph, weights, TABLE);
    const centred = graph.op('Sub', [
      graph.op('Cast', [graph.op('Gather', [codes, ids])], { to: TO[graph.type] }),
      graph.float(128),
    ]);
    return graph.op('Mul', [centred, graph.op('Gather', [scales, graph.op('Unsqueeze', [ids, graph.int([-1])])])]);
  }
  const { blockSize } = weights.format;
  const { codes, scales, zeros, bits } = blockWeights(graph, weights, TABLE);
  const blocks = inputs / blockSize;
  const flat = (value: string, width: number): string => graph.op('Reshape', [value, graph.int([outputs, width])]);
  const operands = [flat(codes, (inputs * bits) / 8), ids, flat(scales, blocks)];
  if (zeros) operands.push(flat(zeros, Math.ceil(blocks / 2)));
  const attributes = { gather_axis: 0n, quantize_axis: 1n, block_size: BigInt(blockSize), bits: BigInt(bits) };
  return graph.op('GatherBlockQuantized', operands, attributes, CONTRIB);
}

function byteWeights(
  graph: OnnxGraph,
  weights: ExportWeights,
  name: string,
): { readonly codes: string; readonly scales: string } {
  const { shape } = weights.slot(name);
  const { inputs, outputs } = weights.matrixOf(name);
  return {
    codes: graph.weight(
      `${name}_codes`,
      'uint8',
      shape,
      lazy(inputs * outputs, async () => (await weights.bytes(name)).codes),
    ),
    scales: graph.weight(
      `${name}_scales`,
      'float',
      [outputs],
      lazy(4 * outputs, async () => floatBytes((await weights.bytes(name)).scales, 'float')),
    ),
  };
}

/**
 * Activations as 8-bit codes of one scale, integers multiplied, scaled back: the pattern that onnxruntime makes one kernel of. Codes of
 * the weights have no sign, since kernels for signed ones saturate on processors without VNNI.
 */
function byteProduct(graph: OnnxGraph, weights: ExportWeights, x: string, name: string): string {
  const { codes, scales } = byteWeights(graph, weights, name);
  const matrix = name === TABLE ? graph.op('Transpose', [codes], { perm: [1n, 0n] }) : codes;
  const [quantized, scale, zero] = ['quantized', 'scale', 'zero'].map((part) => graph.fresh(part)) as [
    string,
    string,
    string,
  ];
  graph.node('DynamicQuantizeLinear', [x], [quantized, scale, zero], {});
  const product = graph.op('MatMulInteger', [quantized, matrix, zero, graph.byte(128)]);
  return graph.op('Mul', [graph.op('Cast', [product], { to: TO.float }), graph.op('Mul', [scale, scales])]);
}

interface BlockWeights {
  readonly bits: 4 | 8;
  readonly codes: string;
  readonly scales: string;
  readonly zeros: string | undefined;
  /** [blocks, outputs]. */
  readonly least: string | undefined;
}

function blockWeights(graph: OnnxGraph, weights: ExportWeights, name: string): BlockWeights {
  const { blockSize, symmetric } = weights.format;
  const { inputs, outputs } = weights.matrixOf(name);
  const bits = weights.codingOf(name) === 'blocks of 8' ? 8 : 4;
  const hasLeast = weights.hasMinima(name);
  const blocks = Math.ceil(inputs / blockSize);
  const blockBytes = (blockSize * bits) / 8;
  const zeroBytes = outputs * Math.ceil(blocks / 2);
  const floats = outputs * blocks * (graph.type === 'float' ? 4 : 2);
  return {
    bits,
    codes: graph.weight(
      `${name}_codes`,
      'uint8',
      [outputs, blocks, blockBytes],
      lazy(outputs * blocks * blockBytes, async () => (await weights.blocks(name)).codes),
    ),
    scales: graph.weight(
      `${name}_scales`,
      graph.type,
      [outputs * blocks],
      lazy(floats, async () => floatBytes((await weights.blocks(name)).scales, graph.type)),
    ),
    zeros:
      symmetric || bits === 8 || hasLeast
        ? undefined
        : graph.weight(
            `${name}_zeros`,
            'uint8',
            [zeroBytes],
            lazy(zeroBytes, async () => (await weights.blocks(name)).zeros as Uint8Array),
          ),
    least: hasLeast
      ? graph.weight(
          `${name}_least`,
          graph.type,
          [blocks, outputs],
          lazy(floats, async () => floatBytes((await weights.blocks(name)).least as Float32Array, graph.type)),
        )
      : undefined,
  };
}

function blockProduct(graph: OnnxGraph, weights: ExportWeights, x: string, name: string): string {
  const { codes, scales, zeros, least, bits } = blockWeights(graph, weights, name);
  const { blockSize, accuracyLevel } = weights.format;
  const { inputs, outputs } = weights.matrixOf(name);
  const attributes = {
    K: BigInt(inputs),
    N: BigInt(outputs),
    bits: BigInt(bits),
    block_size: BigInt(blockSize),
    accuracy_level: BigInt(accuracyLevel),
  };
  const operands = zeros ? [x, codes, scales, zeros] : [x, codes, scales];
  const product = graph.op('MatMulNBits', operands, attributes, CONTRIB);
  if (!least) return product;
  // Σ (scale · code + least) · x: what each block's inputs add up to meets its least value.
  return graph.op('Add', [product, graph.op('MatMul', [blockSums(graph, x, inputs, blockSize), least])]);
}

const sums = new WeakMap<OnnxGraph, Map<string, string>>();

/** What the inputs of each block add up to [..., blocks], once for all products with the same inputs. */
function blockSums(graph: OnnxGraph, x: string, inputs: number, blockSize: number): string {
  let known = sums.get(graph);
  if (!known) sums.set(graph, (known = new Map()));
  let value = known.get(x);
  if (value === undefined) {
    const blocks = Math.ceil(inputs / blockSize);
    const size = inputs * blocks * (graph.type === 'float' ? 4 : 2);
    const ones = lazy(size, async () => {
      const matrix = new Float32Array(inputs * blocks);
      for (let k = 0; k < inputs; k++) matrix[k * blocks + Math.floor(k / blockSize)] = 1;
      return floatBytes(matrix, graph.type);
    });
    value = graph.op('MatMul', [x, graph.weight(`blocks_of_${inputs}`, graph.type, [inputs, blocks], ones)]);
    known.set(x, value);
  }
  return value;
}
