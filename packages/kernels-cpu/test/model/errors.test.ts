// What model operations refuse, and that memory ends where it was.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createCpuRuntime, type ActivationFunction, type WeightType } from '../../src/index.ts';
import { MODEL_JOB, TARGET_FIELDS } from '../../src/model/job.ts';

describe('model operations', async () => {
  const cpu = await createCpuRuntime({ threads: 1 });
  const other = await createCpuRuntime({ threads: 1 });
  afterAll(() => {
    cpu.close();
    other.close();
  });
  const error = (code: string, message: RegExp | string): unknown =>
    expect.objectContaining({ name: 'HipError', code, message: expect.stringMatching(message) as unknown });

  it.each([
    [{ type: 'Q3_K' as WeightType, rows: 1, columns: 256 }, 'unsupported', /type is Q3_K: give one of F32, F16/],
    [{ type: 'toString' as WeightType, rows: 1, columns: 256 }, 'unsupported', /type is toString/],
    [{ type: 'Q4_K', rows: 1, columns: 288 }, 'invalid-shape', /columns is 288: Q4_K stores 256 values a block/],
    [{ type: 'Q8_0', rows: 0, columns: 32 }, 'invalid-shape', /rows is 0: give an integer >= 1/],
    [{ type: 'F32', rows: 1, columns: 1.5 }, 'invalid-shape', /columns is 1.5/],
    [{ type: 'F32', rows: 70_000, columns: 70_000 }, 'out-of-memory', /smaller type than F32/],
  ] as const)('matrices %o', (options, code, message) => {
    const before = cpu.usedBytes;
    expect(() => cpu.createMatrix(options)).toThrow(error(code, message));
    expect(cpu.usedBytes).toBe(before);
  });

  it('bytes that are no rows of the matrix', () => {
    using w = cpu.createMatrix({ type: 'Q8_0', rows: 3, columns: 64 });
    expect(w.bytes).toBe(8 * 68);
    expect(() => w.write(0, new Uint8Array(67))).toThrow(error('invalid-shape', /take 68 each/));
    expect(() => w.write(2, new Uint8Array(136))).toThrow(error('invalid-shape', /rows 2 to 4 .* has 0 to 3/));
    expect(() => w.write(-1, new Uint8Array(68))).toThrow(error('invalid-shape', /rows -1/));
  });

  it('activations that are too short, disposed, or of another runtime', () => {
    const before = cpu.usedBytes;
    {
      using w = cpu.createMatrix({ type: 'F32', rows: 4, columns: 8 });
      using x = cpu.createActivation(8);
      using out = cpu.createActivation(4);
      expect(() => cpu.linear(out, x, w, { rows: 2 })).toThrow(
        error('invalid-shape', 'x holds 8 numbers: this needs 16'),
      );
      expect(() => cpu.linear(x.slice(0, 3), x, w)).toThrow(
        error('invalid-shape', 'out holds 3 numbers: this needs 4'),
      );
      expect(() => cpu.linear(out, x, w, { rows: 0 })).toThrow(error('invalid-shape', 'rows is 0'));
      expect(() => cpu.linear(out, x, w, { bias: out.slice(1, 2) })).toThrow(error('invalid-shape', 'bias holds 2'));
      expect(() => x.slice(4, 5)).toThrow(error('invalid-shape', /4 to 9 are asked for: the activation holds 0 to 8/));
      using theirs = other.createActivation(8);
      expect(() => cpu.linear(out, theirs, w)).toThrow(error('internal', 'x is another runtime'));
      expect(() => cpu.linears(x, [])).toThrow(error('invalid-shape', '0 matrices'));
      using narrow = cpu.createMatrix({ type: 'F32', rows: 4, columns: 4 });
      const targets = [w, narrow].map((matrix) => ({ matrix, out }));
      expect(() => cpu.linears(x, targets)).toThrow(error('invalid-shape', 'matrix 1 has 4 columns, the first 8'));
      w.dispose();
      w.dispose();
      expect(() => cpu.linear(out, x, w)).toThrow(error('internal', 'this matrix is disposed'));
      const part = x.slice(0, 2);
      x.dispose();
      expect(() => part.view).toThrow(error('internal', 'this activation is disposed'));
    }
    // The job block stays.
    expect(cpu.usedBytes - before).toBeLessThan(1024);
    expect(() => cpu.createActivation(2 ** 31)).toThrow(error('out-of-memory', 'fewer rows'));
    expect(() => cpu.createActivation(-1)).toThrow(error('invalid-shape', 'length is -1'));
  });

  it('ids that are no rows, and options that are none', () => {
    using w = cpu.createMatrix({ type: 'F32', rows: 4, columns: 2 });
    using x = cpu.createActivation(8);
    for (const id of [4, -1, 0.5, NaN])
      expect(() => cpu.embed(x, w, [0, id])).toThrow(
        error('invalid-shape', String.raw`ids\[1\] is ${id}: give integers from 0 to 3`),
      );
    cpu.embed(x, w, []);
    expect(() => cpu.softcap(x, { length: 8, cap: 0 })).toThrow(error('invalid-config', 'cap is 0'));
    expect(() => cpu.addScaled(x, x, { length: 8, scale: NaN })).toThrow(error('invalid-config', 'scale is NaN'));
    expect(() => cpu.gate(x, x, undefined, { length: 8, activation: 'swish' as ActivationFunction })).toThrow(
      error('unsupported', /activation is swish: give one of identity, silu/),
    );
    const tables = { cos: x, sin: x };
    expect(() => cpu.rotate(x, { heads: 1, headDim: 4, rotaryDim: 3, ...tables })).toThrow(
      error('invalid-shape', 'rotaryDim is 3'),
    );
    expect(() => cpu.rotate(x, { heads: 1, headDim: 4, rotaryDim: 6, ...tables })).toThrow(
      error('invalid-shape', 'rotaryDim is 6'),
    );
    expect(() => cpu.rmsNorm(x, x, undefined, { width: 4, epsilon: NaN })).toThrow(
      error('invalid-config', 'epsilon is NaN'),
    );
  });

  it('views follow memory that has grown', () => {
    using w = cpu.createMatrix({ type: 'F32', rows: 1, columns: 2 });
    w.write(0, new Uint8Array(Float32Array.of(3, 4).buffer));
    using x = cpu.createActivation(2);
    x.view.fill(1);
    using out = cpu.createActivation(1);
    cpu.linear(out, x, w);
    using large = cpu.createActivation(8_000_000);
    expect(large.view.length).toBe(8_000_000);
    x.view[1] = 2;
    cpu.linear(out, x, w);
    expect(out.view[0]).toBe(11);
  });

  it('are refused after close', async () => {
    const closed = await createCpuRuntime({ threads: 1 });
    const x = closed.createActivation(2);
    closed.close();
    expect(() => closed.createActivation(2)).toThrow(error('internal', 'closed'));
    expect(() => closed.scale(x, { length: 2, factor: 2 })).toThrow(error('internal', 'closed'));
  });

  it('share the job block’s layout with the kernels', () => {
    const source = readFileSync(join(import.meta.dirname, '../../assembly/model/job.ts'), 'utf8');
    const fields = [...source.matchAll(/export const (\w+): usize = (\d+);/g)].map(([, name, at]) => [
      name,
      Number(at),
    ]);
    expect(Object.fromEntries(fields)).toEqual(
      Object.fromEntries(
        Object.entries({ ...MODEL_JOB, ...TARGET_FIELDS }).filter(([name]) => name !== 'NEXT' && name !== 'ITEMS'),
      ),
    );
  });
});
