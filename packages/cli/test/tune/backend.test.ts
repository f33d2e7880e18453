// Where a run computes: what a user of Node is told where there is no GPU.
import { afterEach, expect, it, vi } from 'vitest';
import { startBackend } from '../../src/files/backend.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.doUnmock('webgpu');
});

/** A navigator without WebGPU, as Node has it. */
const plainNode = () => vi.stubGlobal('navigator', {});
const notInstalled = () =>
  vi.doMock('webgpu', () => {
    throw new Error('Cannot find package');
  });
const withoutGpu = () =>
  vi.doMock('webgpu', () => ({ globals: {}, create: () => ({ requestAdapter: async () => null }) }));

it.each([
  ['the package is not installed', notInstalled, 'Node has no navigator.gpu of its own (npm i webgpu'],
  ['the package finds no GPU', withoutGpu, 'it finds no GPU on this machine'],
])('%s: auto goes on with WebAssembly and says why, in no browser’s words', async (_, given, reason) => {
  plainNode();
  given();
  const started = await startBackend('auto');
  started.close();
  expect(started.message).toContain(`tfjs runs on wasm, not on webgpu: ${reason}`);
  expect(started.message).not.toContain('browser');
});

it.each([
  ['the package is not installed', notInstalled, 'npm i webgpu'],
  ['the package finds no GPU', withoutGpu, 'it finds no GPU on this machine'],
])('%s: --backend webgpu is refused with what to do instead', async (_, given, reason) => {
  plainNode();
  given();
  const failed = startBackend('webgpu');
  await expect(failed).rejects.toMatchObject({ name: 'TuneError', code: 'invalid-option' });
  const { message } = (await failed.catch((error: unknown) => error)) as Error;
  expect(message).toMatch(/^--backend webgpu: .*; or use auto, wasm, cpu$/);
  expect(message).toContain(reason);
  expect(message).not.toContain('browser');
});

it('a backend that there is not is refused by name', async () => {
  await expect(startBackend('webgl')).rejects.toThrow('--backend is "webgl": use auto, webgpu, wasm, cpu');
});
