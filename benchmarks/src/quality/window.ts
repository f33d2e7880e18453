// What a job of the quality benchmark is given and gives back, and which jobs read the same window.
import type { BackendName } from '../instatune/backend.ts';
import type { Method } from './methods.ts';

export interface Job {
  /** Folder of the checkpoint. */
  readonly model: string;
  /** Path of the text. */
  readonly book: string;
  readonly method: Method;
  readonly lengths: readonly number[];
  /** `loss`: tokens [index·longest, (index+1)·longest). `pass-keys`: window `index` is drawn with seed `index`. */
  readonly kind: 'loss' | 'pass-keys';
  readonly index: number;
  /** Of `pass-keys`: questions per length. */
  readonly perLength: number;
  readonly threads: number;
  readonly backend: BackendName;
  /** Folder of tfjs' .wasm files. @defaultValue beside the installed package */
  readonly wasmPath?: string | undefined;
}

/** One entry per length. */
export interface JobResult {
  /** `loss`: summed next-token loss (nats) and how many tokens it is of. `pass-keys`: right keys, right digits, questions. */
  readonly lengths: readonly {
    readonly tokens: number;
    readonly loss?: number;
    readonly targets?: number;
    readonly exact?: number;
    readonly digits?: number;
    readonly questions?: number;
  }[];
  readonly seconds: number;
}

/** What jobs of different methods have in common. */
export function windowOf({ model, book, lengths, kind, index, perLength }: Job): string {
  return [model, book, lengths.join(), kind, index, kind === 'loss' ? 0 : perLength].join('\n');
}
