// What the page Measure and its worker say to each other, and the shapes that are measured.
import type { Failure } from '../rpc/protocol.ts';

export type Device = 'wasm' | 'webgpu';
/** A whole text at once, or one token against a text that was read before. */
export type Part = 'prefill' | 'decode';
export const CANDIDATES = ['hip', 'dense', 'onnxruntime', 'tfjs'] as const;
export type CandidateName = (typeof CANDIDATES)[number];

/** Heads of a part, float32, batch 1: those of the stored results. */
export interface Sizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}
export const SIZES: Readonly<Record<Part, Sizes>> = {
  prefill: { heads: 8, kvHeads: 8, headDim: 64 },
  decode: { heads: 8, kvHeads: 2, headDim: 64 },
};

/** One length on one device: all candidates in turns. */
export interface Case {
  readonly part: Part;
  readonly device: Device;
  readonly tokens: number;
}

export interface MeasureInput {
  readonly cases: readonly Case[];
  readonly runs: number;
  /** Whether WebGPU that is computed in software is measured: it takes minutes. */
  readonly allowSoftware: boolean;
  /** Address of the folder of tfjs' WebAssembly files. */
  readonly tfjs: string;
  /** Address of the folder of onnxruntime-web's files. */
  readonly onnxruntime: string;
}

/** A candidate in a case: its times, or why there are none. */
export interface MeasuredRow extends Case, Sizes {
  readonly candidate: CandidateName;
  /** Milliseconds of a call, or of a token in decode, the median. */
  readonly ms?: number;
  readonly msBest?: number;
  readonly runs?: number;
  /** Largest absolute difference to our dense attention; of exact candidates. */
  readonly difference?: number;
  readonly failure?: Failure;
}

export interface Environment {
  readonly date: string;
  readonly browser: string;
  readonly cores: number;
  readonly isolated: boolean;
  /** Of our kernels and onnxruntime; tfjs takes one. */
  readonly threads: number;
  readonly simd: string;
  /** The adapter, and the tier of our kernels on it. */
  readonly gpu?: string;
  readonly versions: Readonly<Record<string, string>>;
}

export type MeasureEvent =
  | { readonly type: 'run'; readonly done: number; readonly total: number; readonly what: string }
  | { readonly type: 'rows'; readonly rows: readonly MeasuredRow[] };

export interface MeasureOutput {
  readonly environment: Environment;
  readonly rows: readonly MeasuredRow[];
}

/** A row of benchmarks/results. */
export interface StoredRow extends Case {
  readonly candidate: CandidateName;
  readonly ms: number;
  readonly machine: string;
}

export type MeasureOperations = {
  readonly measure: { readonly input: MeasureInput; readonly event: MeasureEvent; readonly output: MeasureOutput };
};
