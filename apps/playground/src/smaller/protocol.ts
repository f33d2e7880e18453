// What the page of smaller models and its worker say to each other.
import type { ModelSource } from '../models/source.ts';

export interface LoadInput {
  readonly source: ModelSource;
  readonly bundled: string;
  /** Address of the folder of tfjs' WebAssembly files. */
  readonly wasmPaths: string;
  readonly backend: 'auto' | 'webgpu' | 'wasm';
}

/** A loaded model as a super-network. */
export interface SupernetInfo {
  readonly family: string;
  readonly layers: number;
  readonly heads: number;
  readonly ffn: number;
  readonly parameters: number;
  /** Sub-networks that it holds. */
  readonly subnets: number;
  /** tfjs' backend, and why. */
  readonly backend: string;
}

export interface TrainInput {
  readonly text: string;
  readonly steps: number;
  readonly batchSize: number;
  /** Tokens of a window. */
  readonly tokens: number;
}

export type TrainEvent =
  | { readonly type: 'data'; readonly described: string; readonly lossBefore: number }
  | {
      readonly type: 'step';
      readonly step: number;
      readonly steps: number;
      /** Of the whole network, nats. */
      readonly loss: number;
      readonly tokensPerSecond: number;
      readonly etaSeconds: number;
    };

export interface TrainOutput {
  /** On windows that training never saw, nats a token. */
  readonly lossBefore: number;
  readonly lossAfter: number;
}

/** A measured sub-network. */
export interface SubnetPoint {
  readonly number: number;
  readonly genes: readonly number[];
  /** Milliseconds on this device. */
  readonly latency: number;
  readonly loss: number;
  readonly perplexity: number;
  readonly macs: number;
  readonly parameters: number;
  /** Its layers, heads and FFN units, for people. */
  readonly described: Readonly<Record<string, string>>;
  readonly isFull: boolean;
}

export interface SearchInput {
  readonly evaluations: number;
}

export interface SearchEvent {
  readonly done: number;
  readonly total: number;
  readonly point: SubnetPoint | undefined;
}

export interface SearchOutput {
  readonly points: readonly SubnetPoint[];
  /** Numbers of those on the front. */
  readonly front: readonly number[];
}

export interface ExportInput {
  readonly genes: readonly number[];
  readonly format: 'safetensors' | 'onnx';
}

export interface ExportOutput {
  readonly name: string;
  /** Handed to the page without being copied there. */
  readonly content: Blob;
}

export type SmallerOperations = {
  readonly load: {
    readonly input: LoadInput;
    readonly event: { readonly loaded: number; readonly total: number };
    readonly output: SupernetInfo;
  };
  readonly train: { readonly input: TrainInput; readonly event: TrainEvent; readonly output: TrainOutput };
  readonly search: { readonly input: SearchInput; readonly event: SearchEvent; readonly output: SearchOutput };
  readonly export: { readonly input: ExportInput; readonly event: never; readonly output: ExportOutput };
};
