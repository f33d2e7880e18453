// Generated WGSL: the parts that everything rests on as snapshots, and every module through Dawn's compiler, matrices included.
import { create, globals } from 'webgpu';
import { beforeAll, describe, expect, it } from 'vitest';
import { attentionParams } from '../src/attention/params.ts';
import { gradientCode } from '../src/attention/gradient-code.ts';
import { pseudoGradientCode } from '../src/attention/gradient-pseudo-code.ts';
import { keySetFunctions } from '../src/attention/key-sets.ts';
import { matrixKernelCode } from '../src/attention/matrix-code.ts';
import { tileKernelCode } from '../src/attention/tile-code.ts';
import { storageFunctions, unpackVec4 } from '../src/code/storage.ts';

describe('WGSL', () => {
  it('of the dense key set', () => {
    expect(keySetFunctions({ sparse: false })).toMatchInlineSnapshot(`
      "
      struct KeySets { sinkSlots: u32, selectedSlots: u32, windowFirst: u32, slots: u32, firstStart: u32, pad: u32 }
      struct RowRange { windowStart: u32, visible: u32 }

      fn rowRange(row: u32) -> RowRange {
        let end = select(i32(params.keys), i32(row) + params.shift + 1, params.causal == 1u);
        var start = max(end - i32(params.window), 0);
        if (params.tailBlock > 0u) {
          // From the end of the last block below the window of the query block's first row.
          let firstEnd = select(end, i32(row / params.blockQ * params.blockQ) + params.shift + 1, params.causal == 1u);
          let below = u32(max(firstEnd - i32(params.window) - i32(params.sink), 0));
          start = min(start, i32(params.sink + below / params.tailBlock * params.tailBlock));
        }
        return RowRange(u32(start), u32(clamp(end, 0, i32(params.keys))));
      }

      fn keySets(batch: u32, head: u32, block: u32, firstRow: u32, lastRow: u32) -> KeySets {
        let first = rowRange(firstRow);
        let last = rowRange(lastRow);
        var sets: KeySets;
        sets.windowFirst = max(first.windowStart, params.keyFirst);
        let windowEnd = min(last.visible, params.keyEnd);
        let windowSlots = max(windowEnd, sets.windowFirst) - sets.windowFirst;

        sets.slots = sets.sinkSlots + sets.selectedSlots + windowSlots;
        return sets;
      }

      fn slotEntry(sets: KeySets, slot: u32) -> u32 {
        if (slot >= sets.slots) { return params.keyFirst | (3u << 30u); }

        return (sets.windowFirst + slot - sets.sinkSlots - sets.selectedSlots) | (2u << 30u);
      }

      // No && anywhere: short circuits are branches, and these stand in the innermost loop.
      fn attends(entry: u32, range: RowRange) -> bool {
        let key = entry & 0x3fffffffu;
        let kind = entry >> 30u;
        return (kind != 3u) & (key >= range.windowStart) & (key < range.visible);
      }

      // Whether every row between two attends to every slot between two of one set, whose keys ascend.
      fn attendsAll(firstEntry: u32, lastEntry: u32, first: RowRange, last: RowRange) -> bool {
        let kind = firstEntry >> 30u;
        return (kind == lastEntry >> 30u) & attends(firstEntry, last) & attends(firstEntry, first) & attends(lastEntry, first) & attends(lastEntry, last);
      }
      "
    `);
  });

  it('of packed storage', () => {
    expect(`${storageFunctions(['f16-packed'])}\n${unpackVec4('f16-packed', 'k[i]')}`).toMatchInlineSnapshot(`
      "fn pack_above(value: vec2<f32>, limit: u32) -> u32 {
        let all = bitcast<vec2<u32>>(value);
        let size = all & vec2<u32>(0x7fffffffu);
        let packed = pack2x16float(clamp(value, vec2<f32>(-65504.0), vec2<f32>(65504.0)));
        let infinite = ((all >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | vec2<u32>(0x7c00u);
        let number = select(vec2<u32>(packed & 0xffffu, packed >> 16u), infinite, size >= vec2<u32>(limit));
        let halves = select(number, vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
        return halves.x | (halves.y << 16u);
      }
      fn pack_halves(value: vec2<f32>) -> u32 { return pack_above(value, 0x477ff000u); }
      fn pack_means(value: vec2<f32>) -> u32 { return pack_above(value, 0x7f800000u); }
      fn unpackVec4(bits: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(bits.x), unpack2x16float(bits.y)); }
      fn packVec4(value: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack_halves(value.xy), pack_halves(value.zw)); }
      fn packMeans(value: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack_means(value.xy), pack_means(value.zw)); }
      unpackVec4(k[i])"
    `);
  });

  it('of whole kernels', () => {
    const carry = { in: false, out: false };
    expect(
      tileKernelCode({ headDim: 32, query: 'f32', key: 'f32', sparse: false, carry, rows: 8, chunk: 8, shuffle: 1 }),
    ).toMatchSnapshot('tile');
    expect(
      matrixKernelCode({
        headDim: 32,
        sparse: true,
        softcap: false,
        subgroups: 2,
        lanes: 32,
        keys: 16,
        prefetch: true,
      }),
    ).toMatchSnapshot('matrix');
  });

  it('lays the uniform out as the struct says', () => {
    const bytes = attentionParams.pack(
      Object.fromEntries(
        [
          'queries',
          'rowFirst',
          'rowEnd',
          'keys',
          'keyFirst',
          'keyEnd',
          'shift',
          'sink',
          'window',
          'causal',
          'blockQ',
          'blockK',
          'tilesPerBlock',
          'tiles',
          'capacity',
          'maskHeads',
          'queryBlocks',
          'batchFirst',
          'headFirst',
          'group',
          'rowStride',
          'headStride',
          'batchStride',
          'keyStride',
          'keyHeadStride',
          'keyBatchStride',
          'heads',
          'scale',
          'cap',
          'slope',
          'tailBlock',
          'pseudoMost',
          'meanRows',
        ].map((name, i) => [name, i]),
      ) as Parameters<typeof attentionParams.pack>[0],
    );
    expect(bytes.byteLength).toBe(attentionParams.bytes);
    expect([...new Uint32Array(bytes, 0, 27)]).toEqual(Array.from({ length: 27 }, (_, i) => i));
    expect([...new Float32Array(bytes, 108, 3)]).toEqual([27, 28, 29]);
    expect([...new Uint32Array(bytes, 120, 3)]).toEqual([30, 31, 32]);
  });
});

describe("WGSL, compiled on Dawn's null backend", () => {
  let device: GPUDevice;
  beforeAll(async () => {
    Object.assign(globalThis, globals);
    const gpu = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);
    const adapter = await gpu.requestAdapter();
    device = await adapter!.requestDevice({
      requiredFeatures: ['shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix' as GPUFeatureName],
    });
    // Dawn must outlive its objects.
    (globalThis as { nullGpu?: GPU }).nullGpu = gpu;
  });

  async function messages(code: string): Promise<string[]> {
    const { messages: found } = await device.createShaderModule({ code }).getCompilationInfo();
    return found.map(({ lineNum, message }) => `${lineNum}: ${message}`);
  }

  it.each([40, 64, 72, 256, 512])('tiles, d = %i', async (headDim) => {
    for (const access of ['f32', 'f16', 'f16-packed'] as const) {
      for (const sparse of [false, true]) {
        for (const shuffle of [1, 4, 8] as const) {
          for (const carry of [
            { in: false, out: false },
            { in: true, out: true },
            { in: true, out: false },
          ]) {
            expect(
              await messages(
                tileKernelCode({ headDim, query: access, key: access, sparse, carry, rows: 32, chunk: 8, shuffle }),
              ),
            ).toEqual([]);
          }
        }
      }
    }
  });

  it.each([16, 64, 80, 128, 256])('matrices, d = %i', async (headDim) => {
    for (const sparse of [false, true]) {
      for (const subgroups of [1, 4]) {
        for (const lanes of [16, 32, 64]) {
          expect(
            await messages(
              matrixKernelCode({
                headDim,
                sparse,
                softcap: sparse,
                subgroups,
                lanes,
                keys: 64,
                prefetch: sparse,
                transposeValues: lanes === 32 && sparse,
                reloadQueries: lanes === 16,
                rowMatrices: lanes === 64 ? 2 : 1,
                remainder: sparse && subgroups === 4,
              }),
            ),
          ).toEqual([]);
        }
      }
    }
  });

  it.each(['besides', 'alone'] as const)('tiles with pseudo-keys %s keys', async (remainder) => {
    for (const access of ['f32', 'f16', 'f16-packed'] as const) {
      const carry = { in: remainder === 'alone', out: false };
      const kernel = { headDim: 40, query: access, key: access, sparse: true, carry, rows: 32, chunk: 8 };
      expect(await messages(tileKernelCode({ ...kernel, shuffle: 4, remainder }))).toEqual([]);
    }
  });

  it.each(['rows', 'query', 'key', 'value'] as const)('gradient: %s', async (pass) => {
    for (const access of ['f32', 'f16', 'f16-packed'] as const) {
      for (const sparse of [false, true]) {
        expect(
          await messages(gradientCode({ pass, access, sparse, headDim: 80, rows: 32, chunk: 8, shuffle: 4 })),
        ).toEqual([]);
        const pseudo = pseudoGradientCode({ pass, access, sparse, headDim: 40, rows: 32, chunk: 8, shuffle: 4 });
        expect(await messages(pseudo)).toEqual([]);
      }
    }
  });
});
