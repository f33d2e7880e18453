// The state kernels share per device: profile, limits, pipelines, pooled buffers, pending error scopes. Kept in a WeakMap.
import { profileOf, type DeviceProfile } from '../device/features.ts';
import { limitsOf, type DeviceLimits } from '../device/limits.ts';
import { deviceLostError, scopeError, type HipError } from '../errors/gpu-errors.ts';
import { BufferPool } from './pool.ts';

/** One device and everything cached for it. */
export class GpuContext {
  readonly device: GPUDevice;
  readonly profile: DeviceProfile;
  readonly limits: DeviceLimits;
  readonly pool: BufferPool;
  /** Compiled pipelines by their WGSL. */
  readonly pipelines = new Map<string, GPUComputePipeline>();
  /** Set once the device is lost. */
  lost: HipError | undefined;
  #failure: HipError | undefined;
  #pending = new Set<Promise<void>>();
  readonly #waiting = new Set<(error: HipError) => void>();
  readonly #watchers: ((error: HipError) => void)[] = [];

  constructor(device: GPUDevice) {
    this.device = device;
    this.profile = profileOf(device);
    this.limits = limitsOf(device);
    this.pool = new BufferPool(this);
    void this.#watch();
  }

  async #watch(): Promise<void> {
    const lost = deviceLostError(await this.device.lost);
    this.lost = lost;
    for (const reject of this.#waiting) reject(lost);
    this.#waiting.clear();
  }

  /**
   * What the GPU answers, or the error of a device that is lost before it does: not every implementation settles the promises of
   * a lost device.
   *
   * @throws HipError `device-lost`
   */
  async orLost<T>(answer: Promise<T>): Promise<T> {
    if (this.lost) throw this.lost;
    let reject: ((error: HipError) => void) | undefined;
    const lost = new Promise<never>((_, fail) => {
      reject = fail;
    });
    this.#waiting.add(reject!);
    try {
      return await Promise.race([answer, lost]);
    } finally {
      this.#waiting.delete(reject!);
    }
  }

  async #collect(filter: GPUErrorFilter, what: string, scope: Promise<GPUError | null>): Promise<void> {
    const watchers = [...this.#watchers];
    try {
      const error = await scope;
      if (!error) return;
      const failure = scopeError(filter, what, error.message);
      this.#failure ??= failure;
      for (const tell of watchers) tell(failure);
    } catch {
      // A lost device rejects its scopes; `lost` reports it.
    }
  }

  /** @throws HipError `device-lost`, or what an error scope caught since the last call */
  assertAlive(): void {
    if (this.lost) throw this.lost;
    if (!this.#failure) return;
    const failure = this.#failure;
    this.#failure = undefined;
    throw failure;
  }

  /** Somebody is told what the scopes of now catch. */
  get watched(): boolean {
    return this.#watchers.length > 0;
  }

  /** Runs `action`. What its error scopes catch, then or later, is told to `onFailure` besides. */
  watch<T>(onFailure: (error: HipError) => void, action: () => T): T {
    this.#watchers.push(onFailure);
    try {
      return action();
    } finally {
      this.#watchers.pop();
    }
  }

  /** Runs `action` inside an error scope. What the scope catches is thrown by the next call, and by {@link settled}. */
  scoped<T>(filter: GPUErrorFilter, what: string, action: () => T): T {
    this.device.pushErrorScope(filter);
    try {
      return action();
    } finally {
      const pending = this.#collect(filter, what, this.device.popErrorScope()).finally(() =>
        this.#pending.delete(pending),
      );
      this.#pending.add(pending);
    }
  }

  /**
   * Waits for every error scope that is still open.
   *
   * @throws HipError `out-of-memory`, `internal`, `device-lost`
   */
  async settled(): Promise<void> {
    while (this.#pending.size > 0) await this.orLost(Promise.all(this.#pending));
    this.assertAlive();
  }
}

const contexts = new WeakMap<GPUDevice, GpuContext>();

/** The context of a device; the same one every time. */
export function contextOf(device: GPUDevice): GpuContext {
  let context = contexts.get(device);
  if (!context) contexts.set(device, (context = new GpuContext(device)));
  return context;
}
