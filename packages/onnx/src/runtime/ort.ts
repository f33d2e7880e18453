// What this package needs of onnxruntime: the caller hands over onnxruntime-node or onnxruntime-web, or transformers.js brings its own.
import { OnnxError } from '../errors.ts';

/** A tensor of onnxruntime. */
export interface OrtTensor {
  readonly type: string;
  readonly dims: readonly number[];
  /** Throws for a tensor that is not on the host. */
  readonly data: unknown;
  readonly location: string;
  readonly gpuBuffer?: unknown;
  getData(releaseData?: boolean): Promise<unknown>;
  dispose(): void;
}

/** What a session says of an input or output. */
export interface OrtMetadata {
  readonly name: string;
  readonly isTensor: boolean;
  readonly type: string;
  readonly shape: readonly (number | string)[];
}

/** A session of onnxruntime. */
export interface OrtSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(
    feeds: Readonly<Record<string, OrtTensor>>,
    fetches?: unknown,
    options?: OrtSessionOptions,
  ): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** onnxruntime, as its modules export it: `import * as ort from 'onnxruntime-node'` (or `onnxruntime-web`, `onnxruntime-web/webgpu`). */
export interface Ort {
  readonly InferenceSession: { create(...args: never[]): Promise<unknown> };
  readonly Tensor: unknown;
  readonly env?: { readonly versions?: { readonly node?: string | undefined; readonly web?: string | undefined } };
}

/** Whether sessions run native code: onnxruntime-node's do, onnxruntime-web's are WebAssembly in Node, too. Who has both may share `env`. */
export function isNative({ env }: Ort): boolean {
  return env?.versions?.node !== undefined && env.versions.web === undefined;
}

/** Making tensors. */
export interface TensorClass {
  new (type: string, data: unknown, dims: readonly number[]): OrtTensor;
  fromGpuBuffer(
    buffer: unknown,
    options: {
      readonly dataType: string;
      readonly dims: readonly number[];
      readonly download?: () => Promise<unknown>;
      readonly dispose?: () => void;
    },
  ): OrtTensor;
}

/** Options of a session, as onnxruntime takes them. */
export type OrtSessionOptions = Readonly<Record<string, unknown>>;

/** Creates a session of a model in memory. @throws OnnxError `unsupported` with onnxruntime's words */
export async function createOrtSession(
  ort: Ort,
  model: Uint8Array,
  what: string,
  options: OrtSessionOptions = {},
): Promise<OrtSession> {
  const create = ort.InferenceSession.create.bind(ort.InferenceSession) as unknown as (
    model: Uint8Array,
    options: OrtSessionOptions,
  ) => Promise<OrtSession>;
  try {
    return await create(model, options);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new OnnxError('unsupported', `onnxruntime does not load ${what}: ${reason}`, { what }, { cause });
  }
}

export function tensorClass(ort: Ort): TensorClass {
  return ort.Tensor as TensorClass;
}

/** The last call of each runtime. */
const queues = new WeakMap<object, Promise<unknown>>();

/**
 * Runs `action` after everything that was handed over for the same runtime before: sessions of one runtime must not be created or run
 * at the same time (microsoft/onnxruntime#32561).
 */
export function inTurn<T>(ort: Ort, action: () => Promise<T>): Promise<T> {
  const before = queues.get(ort.InferenceSession) ?? Promise.resolve();
  const run = before.then(action, action);
  queues.set(
    ort.InferenceSession,
    run.catch(() => {}),
  );
  return run;
}
