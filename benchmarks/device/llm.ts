// The engine of @hip/llm on a machine without a workspace, as pack-llm.ts bundles it: --out FILE [--tiny] SECTION… (DAWN_NODE names the binding).
// First `models` in a process of its own, then `load` as the first section of another: memory of the host is measured there.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { probeMatrices, requestHipDevice, contextOf } from '@hip/kernels-webgpu';
import { create, globals } from 'webgpu';
import type { Row } from './llm/measure.ts';
import { SECTIONS } from './llm/sections.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    out: { type: 'string', default: '/tmp/llm.json' },
    tiny: { type: 'boolean', default: false },
    features: { type: 'string', default: 'allow_unsafe_apis' },
  },
});
Object.assign(globalThis, globals);
// Quantised timestamps come in steps of 65 µs.
const gpu = create([`enable-dawn-features=${values.features}`, 'disable-dawn-features=timestamp_quantization']);
// Dawn must outlive its objects.
Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
const log = (line: string): void => void process.stdout.write(`${line}\n`);
const device = async (): Promise<GPUDevice> => {
  const own = await requestHipDevice(await gpu.requestAdapter({ powerPreference: 'high-performance' }));
  own.addEventListener('uncapturederror', ({ error }) => log(`uncaptured: ${error.message.slice(0, 500)}`));
  await probeMatrices(own);
  return own;
};
const probe = await device();
const { profile, limits } = contextOf(probe);
const { vendor, architecture, description } = probe.adapterInfo;
const environment = {
  vendor,
  architecture,
  description,
  profile,
  limits,
  toggles: values.features,
  date: new Date().toISOString(),
};
probe.destroy();
log(JSON.stringify(environment));
const rows: Row[] = [];
const add = (row: Row): void => {
  rows.push(row);
  log(JSON.stringify(row));
  writeFileSync(values.out, `${JSON.stringify({ name: 'webgpu-llm', environment, rows }, undefined, 1)}\n`);
};
for (const name of positionals.length > 0 ? positionals : Object.keys(SECTIONS)) {
  const start = performance.now();
  try {
    await SECTIONS[name]!({ device, tiny: values.tiny, log, add });
  } catch (error) {
    add({ what: name, failure: String(error instanceof Error ? error.stack : error).slice(0, 1500) });
  }
  log(`${name}: ${((performance.now() - start) / 1000).toFixed(1)} s`);
}
// Dawn's own threads would keep the process.
process.exit(0);
