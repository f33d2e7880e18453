// What the host writes before rows pass through the layers: ids, places in a table of positions, rotations.
import type { ModelConfig } from '@hip/checkpoints';
import type { GpuContext } from '@hip/kernels-webgpu';
import { fillRotation } from '../rotation.ts';
import type { Activations } from './activations.ts';

/** A token and where it stands. */
export interface PlacedToken {
  readonly id: number;
  readonly position: number;
  /** Tokens of the sequence when the call that it is a part of has ended. */
  readonly total: number;
}

/** Tokens of one sequence, one after another. */
export interface PlacedRun {
  readonly ids: ArrayLike<number>;
  /** Position of the first. */
  readonly first: number;
  readonly total: number;
}

/** Writes what rows of several sequences need, a token each. */
export function writeTokens(
  context: GpuContext,
  config: ModelConfig,
  target: Activations,
  tokens: readonly PlacedToken[],
): void {
  const runs = tokens.map(({ id, position, total }) => ({ ids: [id], first: position, total }));
  writeRows(context, config, target, runs);
}

/** Writes what the rows of a run need. */
export function writeRun(context: GpuContext, config: ModelConfig, target: Activations, run: PlacedRun): void {
  writeRows(context, config, target, [run]);
}

function writeRows(
  { device }: GpuContext,
  { positionRows, positionOffset }: ModelConfig,
  { ids, positions, tables }: Activations,
  runs: readonly PlacedRun[],
): void {
  const write = (buffer: GPUBuffer, values: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): void =>
    device.queue.writeBuffer(buffer, 0, values);
  write(ids.buffer, Uint32Array.from(runs.flatMap((run) => Array.from(run.ids))));
  if (positionRows > 0) {
    const at = runs.flatMap(({ ids: own, first }) => Array.from(own, (_, row) => first + row + positionOffset));
    write(positions.buffer, Uint32Array.from(at));
  }
  const rows = runs.reduce((sum, run) => sum + run.ids.length, 0);
  for (const [rope, { cos, sin }] of tables) {
    const pairs = rope.inverseFrequencies.length;
    const [cosines, sines] = [new Float32Array(rows * pairs), new Float32Array(rows * pairs)];
    let row = 0;
    for (const { ids: own, first, total } of runs) {
      const end = (row + own.length) * pairs;
      const view = (values: Float32Array): Float32Array => values.subarray(row * pairs, end);
      fillRotation(rope, { first, rows: own.length, total }, view(cosines), view(sines));
      row += own.length;
    }
    write(cos.buffer, cosines);
    write(sin.buffer, sines);
  }
}
