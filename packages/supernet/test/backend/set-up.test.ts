// tfjs set up in one call: what is taken, and what is said of what is not.
import * as tf from '@tensorflow/tfjs';
import { afterEach, expect, it, vi } from 'vitest';
import { setUpTfjs } from '../../src/backend/set-up.ts';

afterEach(() => vi.unstubAllGlobals());

it('without a GPU it falls back to WebAssembly, without threads, and says why', async () => {
  vi.stubGlobal('navigator', {});
  const { backend, skipped, message } = await setUpTfjs();
  expect([backend, tf.getBackend()]).toEqual(['wasm', 'wasm']);
  expect(await tf.env().getAsync('WASM_HAS_MULTITHREAD_SUPPORT')).toBe(false);
  expect(skipped.map((each) => each.backend)).toEqual(['webgpu']);
  expect(message).toMatch(/^tfjs runs on wasm, not on webgpu: Node has no navigator\.gpu of its own \(npm i webgpu/);
  expect((await tf.matMul(tf.tensor2d([[1, 2]]), tf.tensor2d([[3], [4]])).data())[0]).toBe(11);
});

it.each([
  ['no adapter', null, /^it finds no GPU on this machine/],
  [
    'SwiftShader',
    { info: { vendor: 'google', architecture: 'swiftshader' } },
    /adapter is software \(google swiftshader\)/,
  ],
  ['a fallback adapter', { info: { isFallbackAdapter: true } }, /adapter is software/],
])('%s is no WebGPU', async (_, adapter, reason) => {
  vi.stubGlobal('navigator', { gpu: { requestAdapter: async () => adapter } });
  const { backend, skipped } = await setUpTfjs({ backends: ['webgpu', 'cpu'] });
  expect([backend, tf.getBackend()]).toEqual(['cpu', 'cpu']);
  expect(skipped[0]!.reason).toMatch(reason);
});

it('in a page the reasons are a browser’s', async () => {
  vi.stubGlobal('process', undefined);
  for (const [gpu, reason] of [
    [undefined, 'there is no navigator.gpu (an older browser, or a page without HTTPS)'],
    [{ requestAdapter: async () => null }, 'the browser offers no adapter'],
  ] as const) {
    vi.stubGlobal('navigator', { gpu });
    const { skipped } = await setUpTfjs({ backends: ['webgpu', 'cpu'] });
    expect(skipped).toEqual([{ backend: 'webgpu', reason }]);
  }
});

it('.wasm files that are not there are a reason, with where they were looked for', async () => {
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  vi.stubGlobal('navigator', {});
  await tf.setBackend('cpu');
  tf.removeBackend('wasm');
  tf.registerBackend('wasm', () => Promise.reject(new Error('404')), 2);
  try {
    const { backend, message } = await setUpTfjs({ wasmPaths: 'https://example.invalid/' });
    expect(backend).toBe('cpu');
    expect(message).toMatch(
      /wasm: 404; its \.wasm files are looked for at https:\/\/example\.invalid\/: serve .* give wasmPaths/,
    );
    await expect(setUpTfjs({ backends: ['wasm'] })).rejects.toMatchObject({ code: 'unsupported' });
  } finally {
    tf.removeBackend('wasm');
    expect(typeof setWasmPaths).toBe('function');
  }
});

it('a backend that it does not know is refused by name', async () => {
  await expect(setUpTfjs({ backends: ['webgl' as 'cpu'] })).rejects.toMatchObject({
    code: 'invalid-option',
    message: 'no backend "webgl": use webgpu, wasm, cpu',
  });
});
