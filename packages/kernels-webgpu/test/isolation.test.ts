// A key that a row may not see does not reach it, NaN and infinity included: attention and its gradients, on every tier.
import { afterAll, beforeAll, expect, it } from 'vitest';
import fc from 'fast-check';
import { describeGpu } from '@hip/testing';
import { denseMask, type AttentionShape, type BlockMask } from '@hip/mask-search';
import { encodeAttention, type AttentionOptions } from '../src/attention/dispatch.ts';
import { encodeAttentionGradient } from '../src/attention/gradient.ts';
import { destroyMask, uploadMask } from '../src/attention/mask.ts';
import { encodeDecode } from '../src/decode/decode.ts';
import type { ElementType } from '../src/device/features.ts';
import { GpuCall } from '../src/dispatch/call.ts';
import { contextOf, type GpuContext } from '../src/dispatch/context.ts';
import { emptyTensor, readTensor, uploadTensor } from '../src/dispatch/tensor.ts';
import { maskOptions, randomMask, randomTensors, randomValues } from './support/cases.ts';
import { emulatedMatrices } from './support/emulated-matrices.ts';
import { leaks, NO_LEAKS, oddNumbers, seers, spoiled } from './support/isolation.ts';

const WIDTH = 24;

/** Where the odd vector stands, and what it is. */
const places = fc.record({ tensor: fc.constantFrom('k', 'v'), key: fc.nat(1000), value: oddNumbers });
const counts = fc.record({ queries: fc.integer({ min: 16, max: 40 }), keys: fc.integer({ min: 20, max: 70 }) });

interface Values {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

describeGpu('isolation of keys', (gpu) => {
  let device: GPUDevice;
  let context: GpuContext;
  beforeAll(async () => {
    device = await gpu.device({ features: ['subgroups', 'shader-f16'], limits: 'default' });
    context = contextOf(device);
  });
  afterAll(() => device.destroy());

  type Kernel = (values: Values, shape: AttentionShape, mask: BlockMask | undefined) => Promise<Float32Array>;

  const attention =
    (type: ElementType, options: AttentionOptions, decode = false): Kernel =>
    async ({ q, k, v }, shape, mask) => {
      const tensors = {
        q: uploadTensor(context, q, type),
        k: uploadTensor(context, k, type),
        v: uploadTensor(context, v, type),
        out: emptyTensor({ context, type, length: q.length }),
      };
      const held = mask && uploadMask(context, mask);
      const call = new GpuCall(context);
      if (decode) encodeDecode(call, tensors, shape, held, { keyRows: k.length / (shape.kvHeads * shape.headDim) });
      else encodeAttention(call, tensors, shape, held, options);
      call.submit();
      const out = await readTensor(context, tensors.out);
      for (const { buffer } of Object.values(tensors)) buffer.destroy();
      if (held) destroyMask(held);
      return out;
    };
  const tile = (type: ElementType, shuffle: 1 | 4): [ElementType, AttentionOptions] => [
    type,
    { tier: shuffle === 1 ? 'basic' : 'subgroups', variant: { kind: 'tile', rows: 16, chunk: 8, shuffle } },
  ];
  const matrices = (more: object): AttentionOptions => {
    const lanes = context.profile.subgroupMaxSize;
    const variant = { kind: 'matrix', subgroups: 1, lanes, keys: 16, prefetch: true, ...more } as const;
    return { variant, matrices: () => emulatedMatrices(lanes) };
  };
  const kernels: Record<string, { kernel: () => Kernel; headDim?: number; runs: number; sparse: boolean }> = {
    'dense, basic, f32': { kernel: () => attention(...tile('f32', 1)), runs: 5, sparse: false },
    'dense, subgroups, f16': { kernel: () => attention(...tile('f16', 4)), runs: 5, sparse: false },
    'sparse, basic, f16': { kernel: () => attention(...tile('f16', 1)), runs: 6, sparse: true },
    'sparse, subgroups, f32': { kernel: () => attention(...tile('f32', 4)), runs: 6, sparse: true },
    'dense, matrices': { kernel: () => attention('f16', matrices({})), headDim: 16, runs: 2, sparse: false },
    'sparse, matrices': { kernel: () => attention('f16', matrices({})), headDim: 16, runs: 3, sparse: true },
    'sparse, matrices, values transposed': {
      kernel: () => attention('f16', matrices({ transposeValues: true, speculate: true })),
      headDim: 16,
      runs: 2,
      sparse: true,
    },
    'sparse, matrices, not read ahead': {
      kernel: () => attention('f16', matrices({ prefetch: false })),
      headDim: 16,
      runs: 2,
      sparse: true,
    },
    'dense decode, f16': { kernel: () => attention('f16', {}, true), runs: 5, sparse: false },
    'sparse decode, f32': { kernel: () => attention('f32', {}, true), runs: 6, sparse: true },
  };
  for (const [name, { kernel: make, headDim = WIDTH, runs, sparse }] of Object.entries(kernels)) {
    it(`no row reads what it may not see: ${name}`, async () => {
      const kernel = make();
      await fc.assert(
        fc.asyncProperty(counts, maskOptions, places, fc.nat(1000), async (lengths, options, place, seed) => {
          const shape = { ...lengths, batch: 1, heads: 2, kvHeads: 1, headDim };
          const mask = sparse ? randomMask(shape, { ...options, causal: true }) : denseMask(shape, true);
          const values = randomTensors(shape, seed);
          // A buffer may hold more rows than the sequence: nobody sees those.
          const padded = (x: Float32Array, filler: number): Float32Array => {
            const longer = new Float32Array(x.length + (name.includes('decode') ? 8 * headDim : 0)).fill(filler);
            longer.set(x);
            return longer;
          };
          const clean = { ...values, k: padded(values.k, 0), v: padded(values.v, 0) };
          const key = place.key % shape.keys;
          const odd = { ...values, k: padded(values.k, Number.NaN), v: padded(values.v, Number.NaN) };
          odd[place.tensor] = spoiled(odd[place.tensor], key, headDim, place.value);
          const given = sparse ? mask : undefined;
          const found = leaks(
            await kernel(odd, shape, given),
            await kernel(clean, shape, given),
            headDim,
            seers(mask, shape, 0, key, 0),
            // q·k of an infinite key may be −∞, whose weight is 0.
            place.tensor === 'v' || Number.isNaN(place.value),
          );
          expect(found).toEqual(NO_LEAKS);
        }),
        { numRuns: runs },
      );
    });
  }

  it('no gradient reads what it may not see: keys, values, queries and gradients of rows', async () => {
    const where = fc.record({
      tensor: fc.constantFrom('q', 'k', 'v', 'gradient'),
      at: fc.nat(1000),
      value: oddNumbers,
    });
    await fc.assert(
      fc.asyncProperty(
        counts,
        maskOptions,
        where,
        fc.nat(1000),
        async (lengths, options, { tensor, at, value }, seed) => {
          const shape = { ...lengths, batch: 1, heads: 1, kvHeads: 1, headDim: WIDTH };
          const mask = randomMask(shape, { ...options, causal: true });
          const clean = { ...randomTensors(shape, seed), gradient: randomValues(shape.queries * WIDTH, seed + 3) };
          const ofRow = tensor === 'q' || tensor === 'gradient';
          const index = at % (ofRow ? shape.queries : shape.keys);
          const run = async (values: typeof clean): Promise<Record<'dq' | 'dk' | 'dv', Float32Array>> => {
            const upload = (data: Float32Array) => uploadTensor(context, data, 'f32');
            const empty = (length: number) => emptyTensor({ context, type: 'f32', length });
            const inputs = {
              q: upload(values.q),
              k: upload(values.k),
              v: upload(values.v),
              gradient: upload(values.gradient),
            };
            const outputs = { dq: empty(clean.q.length), dk: empty(clean.k.length), dv: empty(clean.v.length) };
            const held = uploadMask(context, mask);
            const call = new GpuCall(context);
            const variant = { kind: 'tile', rows: 16, chunk: 8, shuffle: 4 } as const;
            encodeAttentionGradient(call, { ...inputs, ...outputs }, shape, held, { variant });
            call.submit();
            const [dq, dk, dv] = await Promise.all(
              [outputs.dq, outputs.dk, outputs.dv].map((x) => readTensor(context, x)),
            );
            destroyMask(held);
            for (const { buffer } of Object.values({ ...inputs, ...outputs })) buffer.destroy();
            return { dq: dq!, dk: dk!, dv: dv! };
          };
          const [before, after] = [
            await run(clean),
            await run({ ...clean, [tensor]: spoiled(clean[tensor], index, WIDTH, value) }),
          ];
          // Rows that see the key (or the row itself), and the keys that those rows see.
          const rows = ofRow ? new Set([index]) : seers(mask, shape, 0, index, 0);
          const keys = new Set<number>();
          for (let key = 0; key < shape.keys; key++)
            if ([...seers(mask, shape, 0, key, 0)].some((row) => rows.has(row))) keys.add(key);
          // What is not finite in the gradient of a row makes dv of its keys so; a value's, dq of the rows that see it.
          expect(leaks(after.dq, before.dq, WIDTH, rows, tensor === 'v')).toEqual(NO_LEAKS);
          expect(leaks(after.dk, before.dk, WIDTH, keys, false)).toEqual(NO_LEAKS);
          expect(leaks(after.dv, before.dv, WIDTH, keys, tensor === 'gradient')).toEqual(NO_LEAKS);
        },
      ),
      { numRuns: 8, endOnFailure: true },
    );
  });

  it('a mean of large numbers is finite: f32 near its end, f16 at its end', async () => {
    const shape = { batch: 1, queries: 16, keys: 40, heads: 1, kvHeads: 1, headDim: WIDTH };
    const q = new Float32Array(shape.queries * WIDTH);
    const k = new Float32Array(shape.keys * WIDTH);
    const runs: [Kernel, number, number][] = [
      [attention(...tile('f32', 4)), WIDTH, 3e38],
      [attention(...tile('f16', 4)), WIDTH, 65_504],
      [attention('f32', {}, true), WIDTH, 3e38],
      [attention('f16', {}, true), WIDTH, 65_504],
    ];
    for (const [kernel, , large] of runs) {
      const v = new Float32Array(shape.keys * WIDTH).fill(large);
      const out = await kernel({ q, k, v }, { ...shape, queries: 16 }, undefined);
      expect(out).toBeAllclose(
        out.map(() => large),
        { rtol: 1e-5 },
      );
    }
  });
});
