// What the page of long documents and its worker say to each other.

import type { ModelSource } from '../models/source.ts';

/** Two readers of one text: attention to every key, and to those that HiP selects. */
export type LaneName = 'dense' | 'hip';

export interface LoadInput {
  readonly source: ModelSource;
  /** Address of the bundled model. */
  readonly bundled: string;
  readonly backend: 'auto' | 'wasm' | 'webgpu';
  readonly lanes: readonly LaneName[];
  /** Tokens of text that there is room for. */
  readonly tokens: number;
  /** HiP selects keys in short texts, too, where reading all of them is as fast. */
  readonly selectsAlways: boolean;
}

export interface LoadProgress {
  readonly what: 'download' | LaneName;
  readonly loaded: number;
  readonly total: number;
}

/** A loaded model. */
export interface ModelInfo {
  readonly family: string;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  /** Tokens that it was trained for. */
  readonly trainedTokens: number;
  /** Tokens of text that there is room for. */
  readonly tokens: number;
  readonly backend: 'wasm' | 'webgpu';
  readonly reason: string;
  readonly threads: number;
  readonly canChat: boolean;
  /** Bytes of one lane's weights. */
  readonly weights: number;
}

/** A fact that is hidden in the text, and the question about it. */
export interface PassKey {
  readonly sentence: string;
  readonly question: string;
  readonly digits: string;
  /** Where it goes: a share of the text, 0…1. */
  readonly depth: number;
}

export interface ReadInput {
  readonly text: string;
  readonly tokens: number;
  readonly passKey: PassKey | undefined;
  /** Layer whose mask is shown. */
  readonly layer: number;
}

/** A line of the mask's picture: what a block of queries reads of each 64 keys, 0…255. */
export interface MaskRows {
  /** The first row, in blocks of 64 queries. */
  readonly row: number;
  readonly rows: readonly Uint8Array[];
}

/** How far a lane is. */
export interface LaneProgress {
  readonly lane: LaneName;
  readonly done: number;
  readonly total: number;
  /** Milliseconds of its own so far. */
  readonly ms: number;
  /** exp of the mean loss of all tokens so far; undefined before the second. */
  readonly perplexity: number | undefined;
  /** Milliseconds of one more token at this length. */
  readonly tokenMs: number | undefined;
  /** Bytes: weights, cache and scratch. */
  readonly memory: { readonly weights: number; readonly cache: number; readonly total: number };
  /** What the newest rows read, once they have been read. */
  readonly mask: MaskRows | 'all' | undefined;
}

/** What a lane answers when it is asked for the pass-key. */
export interface KeyAnswer {
  readonly lane: LaneName;
  readonly text: string;
  readonly isRight: boolean;
  /** From the beginning of the text to the first token of the answer. */
  readonly firstTokenMs: number;
}

export interface ReadOutput {
  /** Tokens of the text, the hidden fact among them. */
  readonly tokens: number;
  readonly lanes: readonly LaneProgress[];
  readonly answers: readonly KeyAnswer[];
}

export interface ChatInput {
  readonly text: string;
  /** Begin a new conversation. */
  readonly isNew: boolean;
  /** Read the document that was read last before the question. */
  readonly document: string | undefined;
  readonly temperature: number;
  readonly maxTokens: number;
}

export type ChatEvent =
  | { readonly lane: LaneName; readonly type: 'reading'; readonly done: number; readonly total: number }
  | { readonly lane: LaneName; readonly type: 'piece'; readonly text: string };

export interface ChatAnswer {
  readonly lane: LaneName;
  readonly text: string;
  readonly firstTokenMs: number;
  readonly tokensPerSecond: number;
  readonly promptTokens: number;
  readonly finishReason: string;
}

export type DocumentOperations = {
  readonly load: { readonly input: LoadInput; readonly event: LoadProgress; readonly output: ModelInfo };
  readonly read: { readonly input: ReadInput; readonly event: LaneProgress; readonly output: ReadOutput };
  readonly chat: { readonly input: ChatInput; readonly event: ChatEvent; readonly output: readonly ChatAnswer[] };
};
