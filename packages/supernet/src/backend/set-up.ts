// tfjs on the best backend that works here, in one call, with the reason for every one that does not.
import * as tf from '@tensorflow/tfjs';
import { SupernetError } from '../errors.ts';
import { registerMixedBackend } from './mixed-backend.ts';
import type { GpuOfDevices } from './mixed-backend.ts';
import { noAdapter, noGpuApi } from './no-webgpu.ts';

/** A backend that {@link setUpTfjs} knows. */
export type TfjsBackend = 'webgpu' | 'wasm' | 'cpu';

/** Options of {@link setUpTfjs}. */
export interface TfjsOptions {
  /** Backends to try, in this order. @defaultValue `['webgpu', 'wasm', 'cpu']` */
  readonly backends?: readonly TfjsBackend[] | undefined;
  /**
   * Where a page finds the three `.wasm` files of `@tensorflow/tfjs-backend-wasm/dist`: an address that ends in `/`. Node needs none.
   * @defaultValue beside the script, where bundlers do not put them
   */
  readonly wasmPaths?: string | undefined;
  /** Take a WebGPU adapter that is software (SwiftShader, llvmpipe), which is slower than WebAssembly. @defaultValue false */
  readonly allowSoftware?: boolean | undefined;
  /** On WebGPU, ask for what training of mixed precision needs, as far as the adapter has it. @defaultValue false */
  readonly mixed?: boolean | undefined;
}

/** What {@link setUpTfjs} did. */
export interface TfjsSetup {
  /** The backend that is current now. */
  readonly backend: TfjsBackend;
  /** Those that were tried before it, and why not. */
  readonly skipped: readonly { readonly backend: TfjsBackend; readonly reason: string }[];
  /** All of it in one sentence. */
  readonly message: string;
}

/**
 * Makes the first backend current that works here. The packages `@tensorflow/tfjs-backend-webgpu` and `@tensorflow/tfjs-backend-wasm` are
 * optional peers, imported only when their turn comes. tfjs-wasm runs without threads of its own: on cross-origin isolated pages its
 * threads hang once a minifier has renamed what they call (`prepareAttention({ matmul: true })` of `@hip/attention` brings threads that do not).
 *
 * @throws SupernetError `invalid-option` for a backend that it does not know, `unsupported` with all reasons where none works
 *
 * @example
 * ```ts
 * import { setUpTfjs } from '@instatune/supernet';
 *
 * const { backend, message } = await setUpTfjs({ backends: ['cpu'] });
 * console.log(backend, message); // => cpu tfjs runs on cpu
 * ```
 */
export async function setUpTfjs(options: TfjsOptions = {}): Promise<TfjsSetup> {
  const { backends = ['webgpu', 'wasm', 'cpu'] } = options;
  const skipped: { backend: TfjsBackend; reason: string }[] = [];
  for (const backend of backends) {
    const start = STARTS[backend] as ((options: TfjsOptions) => Promise<string | undefined>) | undefined;
    if (!start) {
      const known = Object.keys(STARTS).join(', ');
      throw new SupernetError('invalid-option', `no backend "${backend}": use ${known}`, { backend });
    }
    const reason = await start(options).catch((error: unknown) =>
      error instanceof Error ? error.message : String(error),
    );
    if (reason === undefined) {
      const not = skipped.map((each) => `${each.backend}: ${each.reason}`).join('; ');
      return { backend, skipped, message: `tfjs runs on ${backend}${not && `, not on ${not}`}` };
    }
    skipped.push({ backend, reason });
  }
  const reasons = skipped.map(({ backend, reason }) => `${backend}: ${reason}`).join('; ');
  throw new SupernetError('unsupported', `tfjs runs on none of ${backends.join(', ')}: ${reasons}`, { skipped });
}

/** Each makes its backend current, or says why it cannot. */
const STARTS: Readonly<Record<TfjsBackend, (options: TfjsOptions) => Promise<string | undefined>>> = {
  webgpu: startWebGpu,
  wasm: startWasm,
  cpu: () => start('cpu', ''),
};

async function startWebGpu({ allowSoftware = false, mixed = false }: TfjsOptions): Promise<string | undefined> {
  const gpu = typeof navigator === 'object' ? (navigator as { readonly gpu?: Gpu }).gpu : undefined;
  if (!gpu) return noGpuApi();
  const adapter = await gpu.requestAdapter();
  if (!adapter) return noAdapter();
  const { vendor = '', architecture = '', device = '', description = '' } = adapter.info ?? {};
  const label = [vendor, architecture, device, description].filter(Boolean).join(' ');
  if (!allowSoftware && (adapter.info?.isFallbackAdapter || /swiftshader|llvmpipe|software|warp/i.test(label)))
    return `its adapter is software (${label}); allowSoftware takes it`;
  const { WebGPUBackend } = await needs(
    '@tensorflow/tfjs-backend-webgpu',
    () => import('@tensorflow/tfjs-backend-webgpu'),
  );
  if (mixed && tf.getBackend() !== 'webgpu') registerMixedBackend(WebGPUBackend, gpu as unknown as GpuOfDevices);
  return start('webgpu', '');
}

async function startWasm({ wasmPaths }: TfjsOptions): Promise<string | undefined> {
  const wasm = await needs('@tensorflow/tfjs-backend-wasm', () => import('@tensorflow/tfjs-backend-wasm'));
  if (wasmPaths !== undefined) wasm.setWasmPaths(wasmPaths);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  const where = wasmPaths === undefined ? 'beside the script' : `at ${wasmPaths}`;
  return start(
    'wasm',
    `; its .wasm files are looked for ${where}: serve node_modules/@tensorflow/tfjs-backend-wasm/dist/*.wasm and give wasmPaths`,
  );
}

/** Makes a registered backend current; its own reason where it will not. */
async function start(backend: TfjsBackend, hint: string): Promise<string | undefined> {
  if (tf.getBackend() === backend) return undefined;
  const factory = tf.findBackendFactory(backend);
  if (!factory) return 'tfjs does not know it: is there a second copy of @tensorflow/tfjs?';
  if (await tf.setBackend(backend)) return undefined;
  // tfjs only warns: asked again, the factory says what went wrong.
  const cause = await Promise.resolve()
    .then(() => factory())
    .then(
      () => 'it did not start',
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
  return `${cause}${hint}`;
}

async function needs<T>(name: string, load: () => Promise<T>): Promise<T> {
  return load().catch((cause: unknown) => {
    throw new SupernetError('unsupported', `${name} cannot be imported: npm i ${name}`, { name }, { cause });
  });
}

interface Gpu {
  requestAdapter(): Promise<{
    readonly info?: {
      readonly vendor?: string;
      readonly architecture?: string;
      readonly device?: string;
      readonly description?: string;
      readonly isFallbackAdapter?: boolean;
    };
  } | null>;
}
