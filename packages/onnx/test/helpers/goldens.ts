// The golden graphs of the shared folder: where they are, what goes in, what must come out.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sharedPath } from '@hip/testing';
import { Tensor } from 'onnxruntime-node';
import { getFloat16 } from '@petamoriken/float16';
import type { HipSession } from '../../src/index.ts';
import type { OrtTensor } from '../../src/runtime/ort.ts';

const folder = sharedPath('goldens', 'onnx') ?? '';

/** Names of the models, and the path of each graph. */
export const GOLDENS: ReadonlyMap<string, string> = new Map(
  (folder === '' ? [] : globSync('*/{.,onnx}/*.onnx', { cwd: folder }))
    .toSorted()
    .map((path) => [path.split('/')[0]!, join(folder, path)]),
);

export type Tensors = ReadonlyMap<string, Tensor>;

/** A golden's tensors. */
export function goldenTensors(name: string): Tensors {
  const bytes = readFileSync(join(folder, name, 'golden.safetensors'));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString()) as Record<
    string,
    { dtype: 'I64' | 'I32' | 'F32' | 'F16'; shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header)
      .filter(([key]) => key !== '__metadata__')
      .map(([key, { dtype, shape, data_offsets }]): [string, Tensor] => {
        const { buffer } = new Uint8Array(bytes.subarray(start + data_offsets[0], start + data_offsets[1]));
        switch (dtype) {
          case 'I64':
            return [key, new Tensor('int64', new BigInt64Array(buffer), shape)];
          case 'I32':
            return [key, new Tensor('int32', new Int32Array(buffer), shape)];
          case 'F32':
            return [key, new Tensor('float32', new Float32Array(buffer), shape)];
          default:
            return [key, new Tensor('float16', new Uint16Array(buffer), shape)];
        }
      }),
  );
}

/** Numbers of a float tensor. */
export function numbers(tensor: OrtTensor): Float32Array {
  const data = tensor.data as Float32Array;
  if (tensor.type !== 'float16') return data;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Float32Array.from({ length: data.byteLength / 2 }, (_, i) => getFloat16(view, 2 * i, true));
}

/** Largest difference; NaN where the lengths differ. */
export function difference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.NaN;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const each = Math.abs(a[i]! - b[i]!);
    if (!(each <= largest)) largest = each;
  }
  return largest;
}

/** Largest logit of each row. */
export function argmax(logits: OrtTensor): readonly number[] {
  const all = numbers(logits);
  const size = logits.dims.at(-1)!;
  return Array.from({ length: all.length / size }, (_, row) => {
    const own = all.subarray(row * size, (row + 1) * size);
    return own.indexOf(Math.max(...own));
  });
}

/** What a session's values may differ by: 4-bit kernels round activations, float16 has 11 bits. */
export function tolerance(name: string, path: string): number {
  const meta = readFileSync(join(folder, name, 'meta.json'), 'utf8');
  if (/int4|q4/.test(name) || path.includes('q4')) return 0.2;
  return /fp16|"float16"/.test(meta) ? 3e-2 : 1e-4;
}

/** Inputs of a phase ('prefill', 'decode', 'batch2'): the golden's, and caches of a run before or empty ones. */
export function feedsOf(
  session: Pick<HipSession, 'inputMetadata'>,
  tensors: Tensors,
  phase: string,
  previous?: Readonly<Record<string, OrtTensor>>,
): Record<string, OrtTensor> {
  const batch = tensors.get(`${phase}.input_ids`)!.dims[0]!;
  return Object.fromEntries(
    session.inputMetadata.map(({ name, type, shape }): [string, OrtTensor] => {
      const given = tensors.get(`${phase}.${name}`) ?? tensors.get(name);
      if (given) return [name, given];
      const present = presentOf(name);
      if (previous?.[present]) return [name, previous[present]];
      const golden = tensors.get(`prefill.${present}`)!.dims;
      const tokens = golden.length - 2;
      // A buffer of the caller's has rows of its own; other caches begin empty.
      const isBuffer = golden[tokens] !== tensors.get('prefill.input_ids')!.dims[1];
      const dims = golden.map((dim, axis) =>
        axis === tokens ? (isBuffer ? dim : 0) : axis === shape.length - 4 ? batch : dim,
      );
      const count = dims.reduce((a, b) => a * b, 1);
      const data = type === 'float16' ? new Uint16Array(count) : new Float32Array(count);
      return [name, new Tensor(type as 'float32', data as Float32Array, dims)];
    }),
  );
}

/** The output that becomes an input of the next call. */
export function presentOf(past: string): string {
  return past.startsWith('past_key_values')
    ? past.replace('past_key_values', 'present')
    : past.replace('past', 'present');
}

/** Runs prefill and decode; says what differs from the golden. */
export async function goldenDifferences(name: string, session: HipSession): Promise<readonly string[]> {
  const tensors = goldenTensors(name);
  const bound = tolerance(name, GOLDENS.get(name)!);
  const found: string[] = [];
  const expectSame = (what: string, own: unknown, golden: unknown) => {
    if (JSON.stringify(own) !== JSON.stringify(golden))
      found.push(`${what}: ${String(own)} instead of ${String(golden)}`);
  };
  let outputs: Record<string, OrtTensor> | undefined;
  for (const phase of ['prefill', 'decode']) {
    outputs = await session.run(feedsOf(session, tensors, phase, outputs));
    expectSame('outputs', Object.keys(outputs).toSorted(), session.outputNames.toSorted());
    for (const [output, tensor] of Object.entries(outputs)) {
      const golden = tensors.get(`${phase}.${output}`);
      if (!golden) continue;
      expectSame(`dims of ${phase}.${output}`, tensor.dims, golden.dims);
      // Of a buffer of 16 rows the last one is not filled after the prompt.
      const isPartial = name.endsWith('windowcache') && phase === 'prefill' && output !== 'logits';
      const isFilled = (_: number, i: number) => !isPartial || Math.floor(i / 16) % 16 < 15;
      const most = difference(numbers(tensor).filter(isFilled), numbers(golden).filter(isFilled));
      if (!(most <= bound)) found.push(`${phase}.${output} differs by ${most}`);
    }
    expectSame(`${phase} argmax`, argmax(outputs['logits']!), argmax(tensors.get(`${phase}.logits`)!));
  }
  return found;
}

/** The folder of a golden. */
export function goldenFolder(name: string): string {
  const path = GOLDENS.get(name)!;
  return path.includes('/onnx/model') ? dirname(dirname(path)) : dirname(path);
}
