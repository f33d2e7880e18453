// Opens WebGPU in Node (Dawn): a real GPU where the machine has one, else SwiftShader, else a reason why there is none.
import { unsupportedPlatform } from '../archive.ts';
import { hasVulkanDriver, preloadVulkanLoader, selectSwiftShader } from './vulkan.ts';

export interface OpenedGpu {
  readonly kind: 'real' | 'software';
  /** The adapter's description, e.g. "SwiftShader driver 5.0.0". */
  readonly description: string;
  readonly gpu: GPU;
  readonly reason?: undefined;
  /** A fresh adapter: an adapter gives one device only. */
  adapter(): Promise<GPUAdapter>;
  /**
   * A fresh device. Destroy it when done. An error that no error scope caught is rethrown, so a test runner fails on it.
   *
   */
  device(options?: DeviceOptions): Promise<GPUDevice>;
}

export interface DeviceOptions {
  /** Asked for where the adapter has them; one that it lacks is left out. @defaultValue [] */
  readonly features?: readonly GPUFeatureName[];
  /** `default` asks for nothing above the specification's defaults, `adapter` for all it offers. @defaultValue "adapter" */
  readonly limits?: 'default' | 'adapter' | Readonly<Record<string, number>>;
}

export interface NoGpu {
  readonly kind: 'none';
  /** Why there is none, for a test's name. */
  readonly reason: string;
}

/** What `HIP_GPU` may say: `auto` is a real GPU, else SwiftShader. */
export type GpuChoice = 'auto' | 'real' | 'software' | 'none';

const TOGGLES = ['enable-dawn-features=allow_unsafe_apis'];
const LIMITS_SKIPPED = new Set(['minSubgroupSize', 'maxSubgroupSize', 'constructor']);

function limitsOf(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {};
  // Limits are getters on the prototype.
  for (const name in adapter.limits) {
    const value = (adapter.limits as unknown as Record<string, unknown>)[name];
    if (typeof value === 'number' && !LIMITS_SKIPPED.has(name)) limits[name] = value;
  }
  return limits;
}

async function opened(gpu: GPU, globals: object): Promise<OpenedGpu | undefined> {
  const first = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!first) return undefined;
  const adapter = async () => {
    const next = await gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (!next) throw new Error('the GPU adapter that was there a moment ago is gone');
    return next;
  };
  Object.assign(globalThis, globals);
  Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
  return {
    kind: first.info.isFallbackAdapter ? 'software' : 'real',
    description: first.info.description || first.info.device || first.info.vendor,
    gpu,
    adapter,
    async device({ features = [], limits = 'adapter' } = {}) {
      const source = await adapter();
      const device = await source.requestDevice({
        requiredFeatures: features.filter((feature) => source.features.has(feature)),
        requiredLimits: limits === 'adapter' ? limitsOf(source) : limits === 'default' ? {} : { ...limits },
      });
      device.addEventListener('uncapturederror', ({ error }) => {
        setImmediate(() => {
          throw new Error(`uncaptured WebGPU error: ${error.message}`);
        });
      });
      return device;
    },
  };
}

async function open(choice: GpuChoice): Promise<OpenedGpu | NoGpu> {
  const none = (reason: string): NoGpu => ({ kind: 'none', reason });
  if (choice === 'none') return none('HIP_GPU=none');
  const unsupported = unsupportedPlatform();
  const linux = process.platform === 'linux';
  try {
    if (linux && !unsupported && !(await preloadVulkanLoader())) return none('no libvulkan.so.1 can be loaded');
    const { create, globals } = await import('webgpu');
    if (choice !== 'software' && (!linux || hasVulkanDriver())) {
      const found = await opened(create(TOGGLES), globals);
      if (found?.kind === 'real') return found;
    }
    if (choice === 'real') return none('no real GPU on this machine (HIP_GPU=real)');
    if (unsupported) return none(`no GPU on this machine, and no software one: ${unsupported}`);
    const reason = await selectSwiftShader();
    if (reason) return none(reason);
    return (await opened(create(TOGGLES), globals)) ?? none('SwiftShader was loaded but Dawn found no adapter');
  } catch (error) {
    return none(`WebGPU did not start: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`);
  }
}

// On globalThis: a test runner loads this module afresh for every file, and Dawn must outlive all its objects.
const KEY = Symbol.for('@hip/testing gpu');
const cache = globalThis as { [KEY]?: Map<GpuChoice, Promise<OpenedGpu | NoGpu>> };

/**
 * Opens the GPU of this process, once. Also installs `navigator.gpu` and WebGPU's constants (`GPUBufferUsage`, …), which
 * tfjs-backend-webgpu looks for. Never throws: where there is no GPU at all the result says why.
 *
 * @param choice - @defaultValue the environment variable HIP_GPU, else "auto"
 * @example
 * ```ts
 * const gpu = await openGpu();
 * if (gpu.kind === 'none') throw new Error(gpu.reason);
 * const device = await gpu.device({ features: ['subgroups', 'shader-f16'] });
 * ```
 */
export function openGpu(
  choice: GpuChoice = (process.env['HIP_GPU'] as GpuChoice | undefined) ?? 'auto',
): Promise<OpenedGpu | NoGpu> {
  const opening = (cache[KEY] ??= new Map());
  let gpu = opening.get(choice);
  if (!gpu) opening.set(choice, (gpu = open(choice)));
  return gpu;
}
