// tfjs in Node, as fast as it goes here: WebGPU through Dawn where there is a GPU, else WebAssembly with threaded products.
import * as tf from '@tensorflow/tfjs';
import { reuseWebGpuBindings, setUpTfjs, SupernetError, type TfjsBackend } from '@instatune/supernet';
import { TuneError } from '../errors.ts';

export const BACKENDS = ['auto', 'webgpu', 'wasm', 'cpu'] as const;

/** A backend that runs, and how to let go of it. */
export interface StartedBackend {
  /** In one sentence. */
  readonly message: string;
  close(): void;
}

/** Starts a backend. @throws TuneError `invalid-option`: one that is not known, or that does not start here, with the reasons */
export async function startBackend(wanted: string): Promise<StartedBackend> {
  if (!(BACKENDS as readonly string[]).includes(wanted))
    throw new TuneError('invalid-option', `--backend is "${wanted}": use ${BACKENDS.join(', ')}`, { backend: wanted });
  if (wanted === 'auto' || wanted === 'webgpu') await provideGpu();
  const backends = wanted === 'auto' ? undefined : [wanted as TfjsBackend];
  tf.enableProdMode(); // without it tfjs advertises another backend on the console
  const { backend, message } = await setUpTfjs({ backends }).catch((cause: unknown) => {
    if (wanted === 'auto' || !(cause instanceof SupernetError)) throw cause;
    const others = BACKENDS.filter((name) => name !== wanted).join(', ');
    const words = `--backend ${wanted}: ${cause.message}; or use ${others}`;
    throw new TuneError('invalid-option', words, { backend: wanted }, { cause });
  });
  if (backend === 'webgpu') reuseWebGpuBindings();
  if (backend !== 'wasm') return { message, close: () => {} };
  const { registerCpuKernels } = await import('@hip/kernels-cpu/tfjs');
  const runtime = await registerCpuKernels({ matmul: true });
  return { message: `${message}, products on ${runtime.threads} threads`, close: () => runtime.close() };
}

/** Node has no `navigator.gpu`: the package webgpu (Dawn) brings one, where it is installed. */
async function provideGpu(): Promise<void> {
  const here = globalThis.navigator as { readonly gpu?: unknown } | undefined;
  if (!here || here.gpu !== undefined) return;
  const dawn = await import('webgpu').catch(() => undefined);
  if (!dawn) return;
  Object.assign(globalThis, dawn.globals);
  Object.defineProperty(globalThis.navigator, 'gpu', { value: dawn.create([]), configurable: true });
}
