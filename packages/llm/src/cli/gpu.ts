// WebGPU for a terminal: Node has none of its own, the package webgpu (Dawn) brings it.
import { UsageError } from './end.ts';

interface Dawn {
  readonly create: (options: readonly string[]) => unknown;
  readonly globals: object;
}

/** Installs `navigator.gpu`, unless it is there. @throws UsageError where the package is missing */
export async function installWebgpu(): Promise<void> {
  const { navigator } = globalThis as { readonly navigator?: { readonly gpu?: unknown } };
  if (navigator?.gpu) return;
  const name = 'webgpu';
  const dawn = await (import(name) as Promise<Dawn>).catch(() => undefined);
  if (!dawn) throw new UsageError('--backend webgpu needs the package webgpu: npm install webgpu');
  Object.assign(globalThis, dawn.globals);
  const toggles = ['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia'];
  Object.defineProperty(globalThis.navigator, 'gpu', { value: dawn.create(toggles), configurable: true });
}
