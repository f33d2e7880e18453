// One call through the pieces: values handed from piece to piece and freed after their last reader, attention between them.
import { OnnxError } from '../errors.ts';
import type { CutGraph } from '../cut/pieces.ts';
import { POSITIONS, ROWS } from '../cut/rotary.ts';
import { headTensor, type AttentionBackend, type PieceSession } from '../runtime/backend.ts';
import { tensorClass, type Ort, type OrtTensor } from '../runtime/ort.ts';
import { positionsOf, spansOf } from './call.ts';
import type { CallState, SiteCaches } from './caches.ts';
import { StepValues } from './step-values.ts';
import { cacheShapeOf, feedable, hostTensor } from './tensors.ts';

/** What runs. */
export interface RunnerParts {
  readonly ort: Ort;
  readonly cut: CutGraph;
  readonly pieces: readonly PieceSession[];
  readonly backend: AttentionBackend;
  readonly caches: SiteCaches;
  readonly outputNames: readonly string[];
}

/** A call, and the outputs that are asked for. */
export interface RunState extends CallState {
  readonly wanted: ReadonlySet<string>;
}

type Values = Map<string, OrtTensor>;

export class PieceRunner {
  readonly #parts: RunnerParts;
  readonly #outputNames: ReadonlySet<string>;
  /** The last call that reads each value between pieces. */
  readonly #lastReader: ReadonlyMap<string, number>;
  readonly #steps: StepValues | undefined;
  /** By piece: replays are right. */
  readonly #replayed = new Map<number, boolean>();

  constructor(parts: RunnerParts) {
    this.#parts = parts;
    this.#outputNames = new Set(parts.outputNames);
    const last = new Map<string, number>();
    for (const [i, { inputs }] of parts.cut.pieces.entries()) for (const name of inputs) last.set(name, i);
    this.#lastReader = last;
    const { backend } = parts;
    if (backend.pin) this.#steps = new StepValues((type, dims) => backend.pin!(type, dims));
  }

  /** Outputs that pieces make, by name. Appends to the caches; what throws leaves that to be taken back. */
  async run(state: RunState): Promise<Record<string, OrtTensor>> {
    const { cut } = this.#parts;
    const { call, feeds, wanted } = state;
    const spans = spansOf(call);
    const values: Values = new Map();
    const outputs: Record<string, OrtTensor> = {};
    const steps = call.batch === 1 && call.tokens === 1 ? this.#steps : undefined;
    // Those of the beginning: their memory is the backend's, whatever becomes of them meanwhile.
    const pinned = new Set(steps?.pinned?.values());
    const free = (tensor: OrtTensor): void => {
      if (!pinned.has(tensor)) tensor.dispose();
    };
    try {
      for (const [i, piece] of cut.pieces.entries()) {
        const given: Record<string, OrtTensor> = {};
        for (const name of piece.inputs)
          given[name] = feedable(
            feeds[name] ??
              values.get(name) ??
              (name === ROWS ? steps?.pinned?.get(name) : undefined) ??
              this.#ownFeed(name, state),
          );
        const made = await this.#runPiece(i, given, wanted, steps);
        for (const [name, tensor] of made) {
          const isOutput = this.#outputNames.has(name) && wanted.has(name);
          if (isOutput) outputs[name] = tensor;
          if (isOutput && !this.#lastReader.has(name)) continue;
          values.set(name, tensor);
          steps?.note(name, tensor);
        }
        for (const site of piece.sites) await this.#attend(site, values, { ...state, spans }, steps);
        for (const [name, tensor] of values) {
          if ((this.#lastReader.get(name) ?? -1) > i) continue;
          values.delete(name);
          if (!outputs[name]) free(tensor);
        }
      }
      steps?.end(call.past);
      return outputs;
    } catch (error) {
      for (const tensor of Object.values(outputs)) tensor.dispose();
      throw error;
    } finally {
      for (const [name, tensor] of values) if (outputs[name] !== tensor) free(tensor);
    }
  }

  async #runPiece(
    index: number,
    given: Readonly<Record<string, OrtTensor>>,
    wanted: ReadonlySet<string>,
    steps: StepValues | undefined,
  ): Promise<ReadonlyMap<string, OrtTensor>> {
    const piece = this.#parts.cut.pieces[index]!;
    const { session, isCaptured } = this.#parts.pieces[index]!;
    const { backend } = this.#parts;
    const fetched = [...piece.outputs.keys()].filter(
      (name) => !this.#outputNames.has(name) || wanted.has(name) || this.#lastReader.has(name),
    );
    const plain = async () => {
      const options = isCaptured ? backend.runOptions?.(false) : undefined;
      return new Map(Object.entries(await session.run(given, fetched, options)));
    };
    const pinned = steps?.pinned;
    if (!pinned) return plain();
    try {
      const isReplay = isCaptured && (await this.#replays(index, given, fetched, pinned));
      const into = Object.fromEntries(fetched.map((name) => [name, pinned.get(name) ?? null]));
      const made = await session.run(given, into, isCaptured ? backend.runOptions?.(isReplay) : undefined);
      // The runtime may give other tensors of the same memory for those that it was given.
      return new Map(fetched.map((name) => [name, pinned.get(name) ?? made[name]!]));
    } catch {
      // A piece has changed nothing: what is wrong with it besides a size, it says again.
      steps.giveUp();
      return plain();
    }
  }

  /** Whether a captured piece is replayed: once all that it reads and writes stays where it is, and replays were seen to be right. */
  async #replays(
    index: number,
    inputs: Readonly<Record<string, OrtTensor>>,
    fetched: readonly string[],
    pinned: ReadonlyMap<string, OrtTensor>,
  ): Promise<boolean> {
    const known = this.#replayed.get(index);
    if (known !== undefined) return known;
    const { pieces, backend } = this.#parts;
    const stays = [...Object.keys(inputs), ...fetched].every((name) => pinned.has(name));
    const outputs = Object.fromEntries(fetched.map((name) => [name, pinned.get(name)!]));
    const { session } = pieces[index]!;
    const isRight = stays && ((await backend.tryReplays?.({ session, inputs, outputs }).catch(() => false)) ?? false);
    this.#replayed.set(index, isRight);
    return isRight;
  }

  /** Queries, keys and values of a site become its output. */
  async #attend(
    site: number,
    values: Values,
    state: RunState & { readonly spans: ReturnType<typeof spansOf> },
    steps: StepValues | undefined,
  ): Promise<void> {
    const { cut, backend, caches } = this.#parts;
    const { q, k, v, out } = cut.names[site]!;
    const heads = cut.flat[site]!;
    const own = (name: string, joined: number | undefined) => headTensor(values.get(name)!, joined);
    const tensors = { q: own(q, heads.q), k: own(k, heads.k), v: own(v, heads.v) };
    const layer = await caches.layer(site, tensors, state);
    const made = await backend.attend(layer, tensors, state.spans, steps?.pinned?.get(out));
    values.set(out, made);
    steps?.note(out, made);
  }

  /** What the graph does not have as an input: positions, and sizes of caches. */
  #ownFeed(name: string, { feeds, call, sequence }: CallState): OrtTensor {
    const { ort, cut, caches } = this.#parts;
    const Tensor = tensorClass(ort);
    const { batch, tokens, past } = call;
    if (name === POSITIONS) {
      return hostTensor(Tensor, 'int64', positionsOf(call, sequence.tokens), [batch, tokens]);
    }
    if (name === ROWS) {
      const rows = Array.from({ length: batch * tokens }, (_, i) => i);
      return hostTensor(Tensor, 'int64', rows, [batch, tokens]);
    }
    const shape = cut.cacheShapes.find(({ output }) => output === name);
    if (!shape) throw new OnnxError('invalid-graph', `nothing makes ${name}`, { value: name });
    const { H, D } = caches.sizes(shape.site, feeds);
    return cacheShapeOf(Tensor, shape, { B: batch, H, D, past, total: past + tokens });
  }
}
