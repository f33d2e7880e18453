// What the command and the browser's page say to each other: the page asks for the next order, does it, and posts what came of it.
import type { PlainFeed } from '@instatune/supernet';

/** Which of onnxruntime-web's runtimes. */
export type WebProvider = 'wasm' | 'webgpu';

/** What the page is to do next. */
export type Order =
  /** Time one pass of a network; its model is at `/model/…`, its inputs at `/feeds/…`, loaded where the page has not. `free`: no longer needed. */
  | { readonly do: 'pass'; readonly order: number; readonly network: number; readonly free: readonly number[] }
  /** Nothing yet: ask again. */
  | { readonly do: 'wait' }
  /** Another page has taken over, or the run is over. */
  | { readonly do: 'stop'; readonly why: string };

/** What came of a pass. */
export interface Answer {
  readonly order: number;
  /** Milliseconds. */
  readonly ms?: number;
  readonly error?: string;
}

/** Inputs of a graph by name. */
export type Feeds = Readonly<Record<string, PlainFeed>>;
