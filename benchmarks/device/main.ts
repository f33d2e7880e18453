// Runs the WebGPU sections on a machine without npm, packed by benchmarks/device/pack.mjs: node BUNDLE --dawn dawn.node --out rows.json [--tiny] [--seconds 60] SECTION…
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { contextOf, requestHipDevice } from '@hip/kernels-webgpu';
import { runSections, SECTIONS, type Rows } from '../src/webgpu/sections.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dawn: { type: 'string' },
    out: { type: 'string' },
    tiny: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '60' },
    features: { type: 'string', default: 'allow_unsafe_apis' },
  },
});
const { dawn, out } = values;
if (!dawn || !out) throw new Error('give --dawn PATH and --out FILE');

const { create, globals } = createRequire(import.meta.url)(dawn) as {
  create: (options: string[]) => GPU;
  globals: object;
};
Object.assign(globalThis, globals);
// Quantised timestamps come in steps of 65 µs.
const gpu = create([`enable-dawn-features=${values.features}`, 'disable-dawn-features=timestamp_quantization']);
// Dawn must outlive its objects.
Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
if (!adapter) throw new Error('no WebGPU adapter: is a Vulkan driver there?');
const device = await requestHipDevice(adapter);
device.addEventListener('uncapturederror', ({ error }) =>
  process.stdout.write(`uncaptured: ${error.message.slice(0, 500)}\n`),
);
const context = contextOf(device);
const { vendor, architecture, description, device: name } = adapter.info;
const environment = {
  vendor,
  architecture,
  description,
  device: name,
  profile: context.profile,
  limits: context.limits,
  features: [...device.features].sort(),
  toggles: values.features,
  date: new Date().toISOString(),
};
process.stdout.write(`${JSON.stringify(environment)}\n`);
const sections: Record<string, Rows> = {};
const save = (): void =>
  writeFileSync(out, `${JSON.stringify({ name: 'webgpu', environment, sections }, undefined, 1)}\n`);
save();
await runSections(context, positionals.length > 0 ? positionals : Object.keys(SECTIONS), {
  seconds: Number(values.seconds),
  tiny: values.tiny,
  log: (line) => process.stdout.write(`${line}\n`),
  onRows: (section, rows) => {
    sections[section] = rows;
    save();
  },
});
process.stdout.write('done\n');
// Dawn's own threads would keep the process.
process.exit(0);
