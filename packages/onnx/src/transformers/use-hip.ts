// useHip: puts a HipSession in the place of a transformers.js model's own. Generation, chat templates and streamers stay the library's.
import { OnnxError, shown } from '../errors.ts';
import { onnxGraph, onnxModel, onnxNode, onnxTensor, onnxValue } from '../model/build.ts';
import type { OnnxFiles } from '../model/files.ts';
import { onnxModelBytes } from '../model/render.ts';
import { bytesWeight } from '../model/weight.ts';
import { createOrtSession, inTurn, type Ort, type OrtSessionOptions } from '../runtime/ort.ts';
import { checkOptions } from '../session/check-options.ts';
import { createHipSession, type HipSessionOptions } from '../session/create.ts';
import type { HipSession } from '../session/hip-session.ts';
import { addressFiles, locateFiles } from './locate.ts';
import { DTYPE_SUFFIXES, type TransformersEnv, type TransformersModel, type TransformersSession } from './types.ts';

/** Options of {@link useHip}. */
export interface UseHipOptions extends Omit<HipSessionOptions, 'device' | 'onCut'> {
  /**
   * The model's folder (a path in Node, an address in browsers), its files, or the bytes of its graph.
   *
   * @defaultValue found in transformers.js's cache or its folder of local models, by what config.json says
   */
  readonly model?: string | Uint8Array | OnnxFiles | undefined;
  /** `env` of transformers.js, which says where those are. @defaultValue that of the package, where it can be imported */
  readonly env?: TransformersEnv | undefined;
}

/**
 * Gives a model of transformers.js HiP attention. Its session is replaced by one of this package, and released; `generate`, pipelines,
 * chat templates, streamers and `DynamicCache` go on as before. `model.dispose()` frees what this made.
 *
 * A graph that cannot be cut throws and leaves the model as it was.
 *
 * @throws OnnxError `unsupported` (the node and why), `file-not-found` where the model's files are not found
 *
 * @returns the session that took the place
 */
export async function useHip(model: TransformersModel, options: UseHipOptions = {}): Promise<HipSession> {
  if (Object(model) !== model) {
    throw new OnnxError('invalid-option', `the model is ${shown(model)}: give a pipeline's \`model\``, {});
  }
  checkUseHip(options);
  const name = ['decoder_model_merged', 'model'].find((each) => Object.hasOwn(model.sessions ?? {}, each));
  if (name === undefined) {
    const names = Object.keys(model.sessions ?? {}).join(', ') || 'none';
    throw new OnnxError(
      'unsupported',
      `the model has sessions ${names}, no decoder's: give a model for generating text`,
      {},
    );
  }
  const session = model.sessions[name] as TransformersSession;
  if (session instanceof Object && 'attentions' in session) {
    throw new OnnxError('invalid-option', 'this model has HiP already', { name });
  }
  const { dtype = 'fp32', device = 'cpu' } = session.config ?? {};
  const file = options.file ?? `onnx/${name}${DTYPE_SUFFIXES[dtype] ?? ''}.onnx`;
  const env = options.env ?? (await importedEnv());
  const files = await filesOf(model, file, options, env);
  const isWebgpu = device === 'webgpu';
  const sessionOptions: OrtSessionOptions = {
    ...(device === 'wasm' && { executionProviders: ['wasm'] }),
    ...options.sessionOptions,
  };
  const ort = await ortOf(session, sessionOptions, env?.backends?.onnx);
  let isReleased = false;
  const { model: _, env: __, ...rest } = options;
  try {
    const hip = await createHipSession(ort, files, {
      ...rest,
      file,
      device: isWebgpu ? 'webgpu' : 'cpu',
      sessionOptions,
      onCut: async () => {
        isReleased = true;
        await session.release();
      },
    });
    model.sessions[name] = Object.assign(hip, { config: session.config });
    refuseBeams(model);
    return hip;
  } catch (cause) {
    if (!isReleased) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `the model's own session was released, then its pieces could not be made: load it again (${reason})`;
    throw new OnnxError('unsupported', message, { name }, { cause });
  }
}

/** What the model says itself, and what is no model's place. @throws OnnxError `invalid-option` */
function checkUseHip(options: UseHipOptions): void {
  if (Object(options) !== options)
    throw new OnnxError('invalid-option', `options is ${shown(options)}: give an object, or nothing`, { options });
  for (const name of ['device', 'onCut']) {
    if (!(name in options)) continue;
    const value = (options as Record<string, unknown>)[name];
    const message = `${name} is ${shown(value)}: leave it out, the model's own is taken`;
    throw new OnnxError('invalid-option', message, { [name]: value });
  }
  const { env, model: _, ...rest } = options;
  if (env !== undefined && Object(env) !== env)
    throw new OnnxError('invalid-option', `env is ${shown(env)}: give \`env\` of transformers.js`, { env });
  checkOptions(rest);
}

async function filesOf(
  model: TransformersModel,
  file: string,
  { model: given }: UseHipOptions,
  env: TransformersEnv | undefined,
): Promise<string | Uint8Array | OnnxFiles> {
  if (typeof given === 'string' && !globalThis.process?.getBuiltinModule) return addressFiles(given);
  if (given !== undefined) return given;
  return locateFiles(model.config, file, env);
}

/** `env` of the library that made the model, where it is installed beside this package. */
async function importedEnv(): Promise<TransformersEnv | undefined> {
  try {
    const { env } = (await import('@huggingface/transformers')) as { env: TransformersEnv };
    return env;
  } catch {
    return undefined;
  }
}

/** onnxruntime as transformers.js brings it: the session's class, and the class of what a session gives. */
async function ortOf(
  session: TransformersSession,
  options: OrtSessionOptions,
  env: Ort['env'] | undefined,
): Promise<Ort> {
  const InferenceSession = session.constructor as unknown as Ort['InferenceSession'];
  const { executionProviders: _, ...plain } = options;
  const one = onnxTensor('', 'float', [1], Float32Array.of(1));
  const graph = onnxGraph('one', {
    node: [onnxNode('Constant', [], ['one'], { attributes: { value: one } })],
    output: [onnxValue('one', 'float', [1])],
  });
  const proto = onnxModel(graph, { '': 17 }, { irVersion: 8 });
  const bytes = await onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) });
  const bare: Ort = { InferenceSession, Tensor: undefined };
  return inTurn(bare, async () => {
    const probe = await createOrtSession(bare, bytes, 'a constant', plain);
    try {
      const [tensor] = Object.values(await probe.run({}));
      return { InferenceSession, Tensor: tensor!.constructor, ...(env && { env }) };
    } finally {
      await probe.release();
    }
  });
}

/** Beams would take caches of one text apart and put them together anew. */
function refuseBeams(model: TransformersModel): void {
  const generate = model.generate?.bind(model) as ((...options: unknown[]) => Promise<unknown>) | undefined;
  if (!generate) return;
  const refusing = async (...args: unknown[]): Promise<unknown> => {
    const options = (args[0] ?? {}) as Record<string, unknown>;
    const configs = [options, options['generation_config'], model.generation_config] as (
      | Record<string, unknown>
      | null
      | undefined
    )[];
    for (const name of ['num_beams', 'num_beam_groups', 'num_return_sequences']) {
      const value = Number(
        configs.map((config) => config?.[name]).find((each) => each !== undefined && each !== null) ?? 1,
      );
      if (!(value > 1)) continue;
      const message = `${name} is ${value}: beam search needs caches that can be taken apart, which HiP's cannot; use 1 (greedy, or sampling)`;
      throw new OnnxError('unsupported', message, { [name]: value });
    }
    return generate(...args);
  };
  Object.defineProperty(model, 'generate', { value: refusing, configurable: true, writable: true });
}
