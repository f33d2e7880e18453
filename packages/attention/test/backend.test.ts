import * as tf from '@tensorflow/tfjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { denseAttention, HipError, prepareAttention } from '../src/index.ts';

const call = (): tf.Tensor =>
  tf.tidy(() => denseAttention(tf.ones([1, 4, 1, 4]), tf.ones([1, 4, 1, 4]), tf.ones([1, 4, 1, 4])));

function remove(name: string): void {
  if (tf.findBackendFactory(name)) tf.removeBackend(name);
}

/** A backend of that name that computes on the CPU. */
async function pretend(name: string): Promise<void> {
  remove(name);
  tf.registerBackend(name, () => tf.findBackendFactory('cpu')(), 0);
  await tf.setBackend(name);
}

afterEach(async () => {
  vi.doUnmock('@hip/kernels-webgpu/tfjs');
  await tf.setBackend('cpu');
  remove('webgpu');
  remove('abacus');
});

describe('prepareAttention', () => {
  it('must have been awaited for the current backend, and not been closed', async () => {
    await tf.setBackend('cpu');
    expect(call).toThrow(/prepared for no backend, tfjs runs on cpu: await prepareAttention\(\)/);
    const prepared = await prepareAttention({ threads: 1 });
    expect(prepared).toMatchObject({ backend: 'cpu', cpu: { threads: 1 } });
    call().dispose();
    await pretend('abacus');
    expect(call).toThrow(/prepared for cpu, tfjs runs on abacus/);
    await tf.setBackend('cpu');
    prepared.close();
    expect(call).toThrow(HipError);
  });

  it('is disposable, and preparing again replaces what was there', async () => {
    await tf.setBackend('cpu');
    {
      using first = await prepareAttention({ threads: 1 });
      using second = await prepareAttention({ threads: 2 });
      expect(second.cpu?.threads).toBe(2);
      first.close();
      call().dispose();
    }
    expect(call).toThrow(HipError);
  });

  it('keeps what was there when the next one cannot be made', async () => {
    await tf.setBackend('cpu');
    using first = await prepareAttention({ threads: 1 });
    await expect(prepareAttention({ threads: -3 })).rejects.toMatchObject({ code: 'invalid-config' });
    call().dispose();
    await pretend('abacus');
    await expect(prepareAttention()).rejects.toThrow('abacus');
    await tf.setBackend('cpu');
    call().dispose();
    expect(first.cpu?.threads).toBe(1);
  });

  it('refuses a backend without kernels', async () => {
    await pretend('abacus');
    await expect(prepareAttention()).rejects.toMatchObject({
      code: 'unsupported',
      message: 'no HiP kernels for tfjs backend "abacus": call tf.setBackend with cpu, wasm or webgpu',
    });
  });

  it('loads the WebGPU kernels only where webgpu is current', async () => {
    const close = vi.fn<() => void>();
    const registerWebgpuKernels = vi.fn<() => Promise<{ close(): void }>>(() => Promise.resolve({ close }));
    vi.doMock('@hip/kernels-webgpu/tfjs', () => ({ registerWebgpuKernels }));
    await tf.setBackend('cpu');
    (await prepareAttention({ threads: 1 })).close();
    expect(registerWebgpuKernels).not.toHaveBeenCalled();
    await pretend('webgpu');
    const prepared = await prepareAttention();
    expect(prepared).toMatchObject({ backend: 'webgpu', cpu: undefined });
    expect(registerWebgpuKernels).toHaveBeenCalledOnce();
    prepared.close();
    expect(close).toHaveBeenCalledOnce();
  });

  it('says what is missing where the WebGPU kernels cannot be loaded', async () => {
    await pretend('webgpu');
    vi.doMock('@hip/kernels-webgpu/tfjs', () => {
      throw new Error('no such module');
    });
    await expect(prepareAttention()).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('install @hip/kernels-webgpu, or run tfjs on wasm') as string,
    });
    expect(call).toThrow(/prepared for no backend/);
  });
});
