// transformers.js in headless Chromium, with and without HiP: on WebAssembly, and on WebGPU (SwiftShader).
import { globSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describeBrowser, missingShared, sharedPath } from '@hip/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestPage } from '@hip/testing/browser';
import type { Order, Report, Said } from '../fixtures/page.ts';

const missing = missingShared('goldens/onnx');
const MODEL = 'hub-llama';

/** Files of a folder by the path a page asks for. */
function filesOf(folder: string, pattern: string, under: string): Record<string, Uint8Array> {
  return Object.fromEntries(
    globSync(pattern, { cwd: folder }).map((name) => [`${under}/${name}`, readFileSync(join(folder, name))]),
  );
}

describeBrowser('transformers.js in a page', (open) => {
  let tab: TestPage;
  beforeAll(async () => {
    if (missing) return;
    const library = createRequire(import.meta.url).resolve('@huggingface/transformers');
    const ort = dirname(createRequire(library).resolve('onnxruntime-web'));
    tab = await open({
      entry: join(import.meta.dirname, '..', 'fixtures', 'page.ts'),
      files: {
        ...filesOf(ort, 'ort-wasm-simd-threaded.asyncify.{mjs,wasm}', '/ort'),
        ...filesOf(join(sharedPath('goldens', 'onnx')!, MODEL), '{*.json,onnx/*}', `/models/${MODEL}`),
      },
    });
  });
  afterAll(() => tab?.[Symbol.asyncDispose]());

  let expected: Said | undefined;
  const ask = async (order: Pick<Order, 'device' | 'withPlain'>): Promise<Report> => {
    const whole: Order = { model: MODEL, dtype: 'fp32', tokens: 64, options: { config: { k: 256 } }, ...order };
    return (await tab.page.evaluate(`generate(${JSON.stringify(whole)})`)) as Report;
  };

  it.skipIf(missing)(`on WebAssembly: the same 64 tokens, a chat, a cache of two turns${missing}`, async () => {
    const { plain, hip, cacheBytes } = await ask({ device: 'wasm', withPlain: true });
    expect(hip).toEqual(plain);
    expect(hip.pieces).toBeGreaterThan(1);
    expect(cacheBytes).toBe(0);
    expected = plain;
  });

  // What onnxruntime-web itself says on SwiftShader differs from the third token on; the graph's numbers are those of WebAssembly.
  it.skipIf(missing)(`on WebGPU: what WebAssembly says${missing}`, async () => {
    const { hip, cacheBytes } = await ask({ device: 'webgpu', withPlain: false });
    expect(hip).toEqual(expected);
    expect(cacheBytes).toBe(0);
  });
});
