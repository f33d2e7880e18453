// What a device compiles while an engine is loaded: every pipeline, and how long it took.
export interface Compiled {
  readonly label: string;
  /** Characters of WGSL. */
  readonly length: number;
  /** Milliseconds since the first began. */
  readonly from: number;
  readonly to: number;
}

/**
 * Notes what a device compiles ahead of time.
 *
 * @param oneByOne each waits for the one before: its time is its own
 */
export function watchCompiler(device: GPUDevice, oneByOne: boolean): () => readonly Compiled[] {
  const found: Compiled[] = [];
  const lengths = new WeakMap<GPUShaderModule, number>();
  const createModule = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => {
    const module = createModule(descriptor);
    lengths.set(module, descriptor.code.length);
    return module;
  };
  const compile = device.createComputePipelineAsync.bind(device);
  let before: Promise<unknown> = Promise.resolve();
  let start: number | undefined;
  device.createComputePipelineAsync = async (descriptor) => {
    const previous = before;
    let done = (): void => undefined;
    before = new Promise<void>((resolve) => {
      done = resolve;
    });
    if (oneByOne) await previous;
    const from = performance.now();
    start ??= from;
    try {
      return await compile(descriptor);
    } finally {
      const length = lengths.get(descriptor.compute.module) ?? 0;
      found.push({ label: String(descriptor.label), length, from: from - start, to: performance.now() - start });
      done();
    }
  };
  return () => found;
}
