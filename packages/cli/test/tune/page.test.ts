// Latencies on onnxruntime-web in a browser's page: a page that is opened, reloaded, replaced, and told when it is over.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeBrowser } from '@hip/testing';
import { fullSubnet, loadCheckpoint, smallestSubnet } from '@instatune/supernet';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, expect, it } from 'vitest';
import { openRuntime } from '../../src/files/runtime.ts';
import { TimingPage } from '../../src/page/server.ts';
import { RelativeLatency } from '../../src/pipeline.ts';
import { start } from '../helpers/run.ts';
import { newFolder, reviewsCsv, tinyBert } from '../helpers/tiny.ts';

describeBrowser('--runtime onnxruntime-web', (open) => {
  const folder = newFolder();
  beforeAll(async () => {
    await tf.setBackend('cpu');
    await tinyBert(join(folder, 'tiny'));
    reviewsCsv(folder, 60);
  });

  /** Waits for what a page says; one in the background draws no frames, so it is asked by the clock. */
  const says = (page: Awaited<ReturnType<typeof open>>['page'], text: string) =>
    page.waitForFunction(`document.querySelector('output').textContent === ${JSON.stringify(text)}`, { polling: 50 });

  it('times every network in the page that was opened last', async () => {
    const { model } = await loadCheckpoint(join(folder, 'tiny'));
    let url = '';
    const runner = (await openRuntime('onnxruntime-web', 'text-classification', {
      quantize: 'int8',
      openPage: (address) => (url = address),
    }))!;
    expect(runner.name).toBe('onnxruntime-web on wasm, weights q8');
    const small = smallestSubnet(model.space);
    await using first = await open();
    {
      await using latency = new RelativeLatency(model, { tokens: 8, runner });
      // Asked before the page is there: it is waited for.
      const early = latency.of(small, undefined, 2);
      await first.page.goto(url);
      expect(await early).toBeGreaterThan(0);
      expect(latency.full).toBeGreaterThan(0);
      // A page that is loaded again has lost its sessions, and makes them again.
      await first.page.reload();
      expect(await latency.of(small, undefined, 2)).toBeGreaterThan(0);
      await using second = await open();
      await second.page.goto(url);
      await says(first.page, 'another page has taken over');
      expect(await latency.of(fullSubnet(model.space), undefined, 2)).toBeGreaterThan(0);
      const said = await second.page.evaluate("document.querySelector('output').textContent");
      expect(said).toMatch(/^\d+ passes timed, the last in [\d.]+ ms$/);
      expect(await second.page.evaluate('crossOriginIsolated')).toBe(true);
    }
    await using third = await open();
    await third.page.goto(url);
    const network = runner.prepare(model, small, { batch: 1, sequence: 8 });
    expect(await (await network).run()).toBeGreaterThan(0);
    await runner[Symbol.asyncDispose]!();
    await says(third.page, 'the run is over');
    await expect((await network).run()).rejects.toMatchObject({ code: 'runtime-failed', message: 'the run is over' });
    model.dispose();
  });

  it('times on WebGPU, too', async () => {
    const { model } = await loadCheckpoint(join(folder, 'tiny'));
    let url = '';
    const openPage = (address: string) => void (url = address);
    const runner = (await openRuntime('onnxruntime-web/webgpu', 'text-classification', { openPage }))!;
    expect(runner.name).toBe('onnxruntime-web on webgpu, weights fp32');
    await using tab = await open();
    await tab.page.goto(url);
    const network = await runner.prepare(model, smallestSubnet(model.space), { batch: 1, sequence: 8 });
    expect(await network.run()).toBeGreaterThan(0);
    await network.dispose();
    await runner[Symbol.asyncDispose]!();
    model.dispose();
  });

  it('says what the page could not run', async () => {
    await using page = await TimingPage.open(
      dirname(createRequire(import.meta.url).resolve('onnxruntime-web')),
      'wasm',
    );
    await using tab = await open();
    await tab.page.goto(page.url);
    await expect(page.add(Uint8Array.of(1, 2, 3), {}).pass()).rejects.toMatchObject({
      code: 'runtime-failed',
      message: expect.stringContaining("the browser's page cannot run the network: ") as string,
    });
  });

  it('is what a run is searched on, in a browser that is started for it', async () => {
    // Stands for the browser: notes the address, which the test opens.
    const program = join(folder, 'browser.sh');
    writeFileSync(
      program,
      `#!/bin/sh\nfor last; do :; done\necho "$last" > ${join(folder, 'address')}\nexec sleep 600\n`,
    );
    chmodSync(program, 0o755);
    const what = 'tune --model tiny --train train.csv --text sentence --label verdict --out small --json --quiet';
    const effort = '--steps 4 --tune-steps 1 --evaluations 3 --backend cpu --runtime onnxruntime-web';
    const options = `${what} ${effort}`.split(' ');
    const { ended } = start(folder, ...options, '--budget', 'latency <= 9x', '--browser', program);
    while (!existsSync(join(folder, 'address'))) await sleep(20);
    await using tab = await open();
    await tab.page.goto(readFileSync(join(folder, 'address'), 'utf8').trim());
    const { code, out, err } = await ended;
    expect(code, err).toBe(0);
    const result = JSON.parse(out) as { runtime: string; small: Record<string, number> };
    expect(result.runtime).toBe('onnxruntime-web on wasm, weights fp32');
    expect(result.small['latency']).toBeGreaterThan(0);
    expect(readFileSync(join(folder, 'small/README.md'), 'utf8')).toContain('Latency: onnxruntime-web on wasm');
  });
});
