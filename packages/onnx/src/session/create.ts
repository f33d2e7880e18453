// createHipSession: reads a model, finds and checks its attentions, cuts it, and creates the pieces' sessions one after another.
import { throwIfAborted } from '../errors.ts';
import type { OnnxFiles } from '../model/files.ts';
import { openOnnxModel, type OnnxModel } from '../model/open.ts';
import { onnxModelBytes } from '../model/render.ts';
import { partMaskOf } from '../cut/branches.ts';
import { cutGraph, type CutGraph } from '../cut/pieces.ts';
import { ROWS } from '../cut/rotary.ts';
import { decoderInputs } from '../graph/feeds.ts';
import type { AttentionSite } from '../graph/site.ts';
import { isFloat } from '../graph/types.ts';
import { GraphView } from '../graph/view.ts';
import type { AttentionOptions } from '../runtime/attention-options.ts';
import type { AttentionBackend, LayerForm, PieceSession } from '../runtime/backend.ts';
import { createCpuBackend } from '../runtime/cpu.ts';
import { createWebgpuBackend } from '../runtime/webgpu.ts';
import { createOrtSession, inTurn, type Ort, type OrtSessionOptions } from '../runtime/ort.ts';
import { checkOptions, checkOrt } from './check-options.ts';
import { attentionSites, checkTexts, sinksOf } from './choose.ts';
import { HipSession } from './hip-session.ts';
import { findMasks } from './probe.ts';

/** Options of {@link createHipSession}. */
export interface HipSessionOptions extends AttentionOptions {
  /**
   * Where the pieces and the attention run. `webgpu` takes `onnxruntime-web/webgpu`; `cpu` is onnxruntime-node's processors, or
   * onnxruntime-web's WebAssembly.
   *
   * @defaultValue 'cpu'
   */
  readonly device?: 'cpu' | 'webgpu' | undefined;
  /** Attentions that are cut out, counted from 0 in the order in which they run; the others stay in the graph. @defaultValue all */
  readonly layers?: readonly number[] | undefined;
  /** How keys and values are kept. @defaultValue the graph's own type of its cache */
  readonly cache?: 'f16' | 'f32' | undefined;
  /** Threads of the attention on the CPU, the calling one included. @defaultValue the machine's cores */
  readonly threads?: number | undefined;
  /**
   * On the CPU: tokens of a prompt that run through the graph at once; a prompt of twice as many, of one text without padding, runs in
   * parts, in less memory. 0: all at once. @defaultValue 2048
   */
  readonly partTokens?: number | undefined;
  /** On WebGPU: the device to share with onnxruntime. @defaultValue one with every feature that the kernels use, one a runtime */
  readonly gpuDevice?: GPUDevice | undefined;
  /**
   * On WebGPU: tokens of a text for which there is room from the start, so that nothing is copied as it grows; more are refused. The room
   * is made at the first call and waits for the next text.
   *
   * @defaultValue caches grow by half when they are full
   */
  readonly maxTokens?: number | undefined;
  /**
   * On WebGPU: tokens of a text whose keys and values lie on the GPU at once, in each layer; pages of others wait on the host, for as many
   * tokens as `maxTokens` says. @defaultValue all; with `offload`, `maxTokens` is 16 times as many
   */
  readonly offload?: number | undefined;
  /** Options of the pieces' sessions, as onnxruntime takes them (`intraOpNumThreads`, `logSeverityLevel`, …). */
  readonly sessionOptions?: OrtSessionOptions | undefined;
  /** Name of the model's file, where the model is a folder or files. @defaultValue 'model.onnx' */
  readonly file?: string | undefined;
  /** Files of external data by name, where the model is bytes. */
  readonly externalData?: Readonly<Record<string, Uint8Array | Blob>> | undefined;
  /** Called once everything that can refuse a graph has agreed, before the pieces take memory. */
  readonly onCut?: (() => void | Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A session with HiP attention in place of the graph's own.
 *
 * @param ort - onnxruntime: `onnxruntime-node`, `onnxruntime-web` or `onnxruntime-web/webgpu`
 * @param model - the path of a `.onnx` file or its folder (Node), its bytes, or files by name
 * @throws OnnxError `unsupported` for a graph that cannot be cut, naming the node and why, and for what onnxruntime does not load;
 * `invalid-option`; as `openOnnxModel` throws; HipError for options of HiP
 *
 * @example
 * ```ts
 * import * as ort from 'onnxruntime-node';
 * import { createHipSession } from '@hip/onnx';
 *
 * const session = await createHipSession(ort, './model/onnx/model.onnx', { config: { k: 256 } });
 * const ids = new ort.Tensor('int64', BigInt64Array.of(3n, 14n, 15n), [1, 3]);
 * const feeds = { input_ids: ids, attention_mask: new ort.Tensor('int64', BigInt64Array.of(1n, 1n, 1n), [1, 3]) };
 * for (const name of session.inputNames.filter((each) => each.startsWith('past'))) {
 *   feeds[name] = new ort.Tensor('float32', [], [1, 2, 0, 16]); // an empty cache
 * }
 * const { logits, 'present.0.key': cache } = await session.run(feeds);
 * console.log(logits.dims, cache.dims); // => [ 1, 3, 300 ] [ 1, 2, 3, 16 ]
 * await session.release(); // frees the caches, too
 * ```
 */
export async function createHipSession(
  ort: Ort,
  model: string | Uint8Array | OnnxFiles,
  options: HipSessionOptions = {},
): Promise<HipSession> {
  checkOrt(ort);
  checkOptions(options);
  const { file, externalData, signal } = options;
  const opened = await openOnnxModel(model, { file, externalData, signal });
  try {
    return await inTurn(ort, () => cutSession(ort, opened, options));
  } finally {
    await opened.close();
  }
}

async function cutSession(ort: Ort, model: OnnxModel, options: HipSessionOptions): Promise<HipSession> {
  const { signal } = options;
  const view = await GraphView.read(model);
  const { chosen, others } = attentionSites(view, options.layers);
  const inputs = decoderInputs(view, chosen);
  checkTexts(view, chosen, inputs.tokens);
  const masks = await findMasks(ort, view, { chosen, others, inputs, options: hostOptions(options) });
  const sites = chosen.map((site, i) => ({ ...site, window: masks.windows[i]! }));
  const sinkLogits = await Promise.all(sites.map((site) => sinksOf(view, site)));
  const backend = await createBackend(ort, view, sites, options);
  const pieces: PieceSession[] = [];
  try {
    const cut = cutGraph(view, sites, { io: backend.io, sinkLogits });
    const forms = sites.map(({ softcap, window }, layer): LayerForm => {
      return { layer, scale: cut.scales[layer], softcap, window, hasSink: sinkLogits[layer] !== undefined };
    });
    await options.onCut?.();
    const local = localValues(view, cut);
    const canCapture = (await backend.canCapture?.()) ?? false;
    for (const [i, piece] of cut.pieces.entries()) {
      throwIfAborted(signal, 'creating a session');
      // One piece's weights at a time are in memory besides onnxruntime's own.
      const bytes = await onnxModelBytes(piece.model, signal);
      const kept = [...piece.outputs.keys()].filter((name) => local.has(name));
      // What is captured reads and writes the device's memory only.
      const isLocal =
        kept.length === piece.outputs.size && piece.inputs.every((name) => local.has(name) || name === ROWS);
      const what = `piece ${i} of ${cut.pieces.length}`;
      const create = (isCaptured: boolean) =>
        createOrtSession(ort, bytes, what, backend.pieceOptions(kept, isCaptured));
      // It is refused where some node runs on the host: then the piece runs as it comes.
      const captured = canCapture && isLocal ? await create(true).catch(() => undefined) : undefined;
      pieces.push({ session: captured ?? (await create(false)), isCaptured: captured !== undefined });
    }
    const { padding } = masks;
    // Attentions that stay in the graph keep caches that parts would not find.
    const partMask = others.length > 0 ? undefined : partMaskOf(view, cut, inputs);
    return new HipSession({ ort, view, sites, inputs, padding, partMask, cut, pieces, forms, backend });
  } catch (error) {
    for (const { session } of pieces) await session.release();
    backend[Symbol.dispose]();
    throw error;
  }
}

/** Numbers between pieces stay where they are; sizes are the host's. */
function localValues(view: GraphView, { pieces, names }: CutGraph): ReadonlySet<string> {
  const made = pieces.flatMap(({ outputs }) => [...outputs].filter(([, type]) => isFloat(type)).map(([name]) => name));
  return new Set([...made, ...names.map(({ out }) => out)].filter((name) => !view.outputs.has(name)));
}

/** Masks are evaluated on the host. */
function hostOptions({ device, sessionOptions }: HipSessionOptions): OrtSessionOptions {
  return device === 'webgpu' ? { executionProviders: ['wasm'] } : (sessionOptions ?? {});
}

async function createBackend(
  ort: Ort,
  view: GraphView,
  sites: readonly AttentionSite[],
  options: HipSessionOptions,
): Promise<AttentionBackend> {
  const { device = 'cpu', threads, sessionOptions } = options;
  const type = view.types.get(sites[0]?.past?.key ?? '') ?? view.types.get(sites[0]?.v.value ?? '');
  const cache = options.cache ?? (type === 10 ? 'f16' : 'f32');
  const { config, denseBelow } = options;
  const { partTokens, gpuDevice, maxTokens, offload } = options;
  if (device === 'cpu')
    return createCpuBackend(ort, { config, denseBelow, cache, threads, partTokens, sessionOptions });
  return createWebgpuBackend(ort, { config, denseBelow, type: cache, gpuDevice, maxTokens, offload, sessionOptions });
}
