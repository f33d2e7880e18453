// What a run says of its recorded passes.

/** How passes are recorded and played. */
export interface RecordingOptions {
  /**
   * Bytes of GPU memory that recordings may hold, beside what a run needs without them. Work that finds no room is encoded anew each time.
   * @defaultValue 16 GiB
   */
  readonly maxBytes?: number | undefined;
  /** Hears what becomes of recordings, between steps. */
  readonly onEvent?: ((event: RecordingEvent) => void) | undefined;
}

/**
 * What became of a recording: `recorded` and not yet played; `checked`, its first replay gave what tfjs gives on the same inputs, and it is played
 * from here on; `full`, no more are made, `maxBytes` is reached; `stopped`, none is made or played any more and the run goes on without, on the
 * numbers of tfjs alone.
 */
export type RecordingEvent =
  | {
      readonly kind: 'recorded';
      readonly dispatches: number;
      /** Held by all recordings. */
      readonly bytes: number;
      readonly buffers: number;
    }
  | {
      readonly kind: 'checked';
      /** Largest relative difference of a tensor, ‖replay − tfjs‖ / ‖tfjs‖. */
      readonly difference: number;
      readonly tensors: number;
    }
  | { readonly kind: 'full'; readonly bytes: number; readonly buffers: number; readonly maxBytes: number }
  | {
      readonly kind: 'stopped';
      readonly reason: 'disagreement';
      readonly difference: number;
      readonly tensors: number;
      /** What was recorded. */
      readonly work: string;
    }
  | { readonly kind: 'stopped'; readonly reason: 'out-of-memory' | 'invalid'; readonly message: string };

/** Recorded passes of a run. */
export interface RecordingStatistics {
  readonly recorded: number;
  /** Replays that were compared with tfjs' own numbers. */
  readonly checked: number;
  readonly played: number;
  /** Passes that could have been recordings and were encoded anew: the first of each kind, and those that never come again. */
  readonly encoded: number;
  /** Held by recordings: at the end of the run, and at most. */
  readonly bytes: number;
  readonly buffers: number;
  readonly peakBytes: number;
  readonly peakBuffers: number;
  /** The largest relative difference that a comparison found. */
  readonly difference: number;
  /** Why there are none any more. */
  readonly stopped?: 'disagreement' | 'out-of-memory' | 'invalid' | undefined;
}
