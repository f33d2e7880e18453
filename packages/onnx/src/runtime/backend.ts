// What a session needs of the place where attention runs: caches, and attention of a call's rows over them.
import { SINK_CHANNELS } from '../cut/adapt.ts';
import type { IoType } from '../cut/chain.ts';
import type { OrtSession, OrtSessionOptions, OrtTensor } from './ort.ts';

/** One layer's attention. */
export interface LayerForm {
  /** 0 for the first attention of the graph. */
  readonly layer: number;
  /** Undefined: 1/√channels. */
  readonly scale: number | undefined;
  /** 0: none. */
  readonly softcap: number;
  /** 0: none. */
  readonly window: number;
  /** A key without a value comes before the first token. */
  readonly hasSink: boolean;
}

/** Sizes that the first call shows. */
export interface HeadSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What multiplies scores; undefined: 1/√channels. Channels of a sink do not count. */
export function scaleOf({ scale, hasSink }: LayerForm, { headDim }: HeadSizes): number | undefined {
  return scale ?? (hasSink ? 1 / Math.sqrt(headDim - SINK_CHANNELS) : undefined);
}

/** Numbers of a tensor, [B, S, heads, channels] whatever the tensor says. */
export interface HeadTensor {
  readonly tensor: OrtTensor;
  readonly dims: readonly number[];
}

/** Queries, keys and values of a call. */
export interface CutTensors {
  readonly q: HeadTensor;
  readonly k: HeadTensor;
  readonly v: HeadTensor;
}

/** @param heads - of a tensor whose last axis holds those of all of them */
export function headTensor(tensor: OrtTensor, heads: number | undefined): HeadTensor {
  const { dims } = tensor;
  if (heads === undefined) return { tensor, dims };
  return { tensor, dims: [...dims.slice(0, 2), heads, dims[2]! / heads] };
}

/** Tokens [first, first + count) of a row of the batch; others are padding. */
export interface Span {
  readonly first: number;
  readonly count: number;
  /** Tokens of the text in the whole call of which this is a part: its last rows are a question. */
  readonly call: number;
  /** Those of them that follow. */
  readonly after: number;
}

/** Keys and values [tokens, kvHeads, channels]. */
export interface KeysAndValues {
  readonly k: Float32Array;
  readonly v: Float32Array;
}

/** Keys and values of one layer of one text. */
export interface LayerCache extends Disposable {
  /** Tokens, a sink not counted. */
  readonly length: number;
  /** Bytes held. */
  readonly bytes: number;
  /** Adds tokens that were computed elsewhere. */
  append(tokens: KeysAndValues): void | Promise<void>;
  /** Keeps the first tokens. Never throws for memory. */
  truncate(length: number): void;
  /** A cache of the first `length` tokens that goes on by itself. */
  fork(length: number): LayerCache;
  /** The first `length` tokens. */
  read(length: number): Promise<KeysAndValues>;
  /** The same at once, where that can be. */
  readNow?(length: number): KeysAndValues;
}

/** The session of a piece. */
export interface PieceSession {
  readonly session: OrtSession;
  /** Its runs over the same memory can be captured and replayed. */
  readonly isCaptured: boolean;
}

/** A captured piece, and the memory that its replays have. */
export interface CapturedPiece {
  readonly session: OrtSession;
  readonly inputs: Readonly<Record<string, OrtTensor>>;
  readonly outputs: Readonly<Record<string, OrtTensor>>;
}

/** Where attention runs. */
export interface AttentionBackend extends Disposable {
  /** How tensors between pieces and attention are stored. */
  readonly io: IoType;
  /** Tokens of a part, where long prompts run better in parts. */
  readonly partTokens?: number | undefined;
  /**
   * Options of a piece's session.
   *
   * @param local - outputs that need not come to the host
   * @param isCaptured - runs over the same memory are to be captured
   */
  pieceOptions(local: readonly string[], isCaptured?: boolean): OrtSessionOptions;
  /** Whether sessions can capture what they run, and replay it. Undefined: they cannot. */
  canCapture?(): Promise<boolean>;
  /** Whether replays of a captured piece give what its other runs give: tried out over the memory that they have. */
  tryReplays?(piece: CapturedPiece): Promise<boolean>;
  /** Options of a run of a captured piece. @param isReplay - over the memory that all its replays have */
  runOptions?(isReplay: boolean): OrtSessionOptions;
  /** @param tokens - that are expected */
  createLayer(form: LayerForm, sizes: HeadSizes, tokens: number): LayerCache;
  /** A tensor whose memory is the backend's and stays: what is bound to it can be used again. Undefined: the runtime makes new ones. */
  pin?(type: string, dims: readonly number[]): OrtTensor;
  /**
   * Appends the spans' tokens of each row of the batch and attends with them; rows of padding are 0.
   *
   * @param into - what {@link pin} gave for the output
   * @returns [B, S, heads, channels]
   */
  attend(
    caches: readonly LayerCache[],
    tensors: CutTensors,
    spans: readonly (readonly Span[])[],
    into?: OrtTensor,
  ): Promise<OrtTensor>;
}
