// Where a dispatch's keys are not all of them: the running softmax is carried from dispatch to dispatch in buffers.

/** Whether a dispatch continues an earlier one, and whether another continues it. */
export interface Carry {
  readonly in: boolean;
  readonly out: boolean;
}

export const NO_CARRY: Carry = Object.freeze({ in: false, out: false });

/** Bindings a carrying kernel adds: maximum and sum per row and head; unnormalised output. */
export function carryBindings({ in: reads, out }: Carry): string[] {
  return reads || out
    ? [
        'var<storage, read_write> carriedRows: array<vec2<f32>>',
        'var<storage, read_write> carriedOut: array<vec4<f32>>',
      ]
    : [];
}

/** Bytes of the two buffers. */
export function carryBytes({
  batches,
  rows,
  heads,
  headDim,
}: {
  readonly batches: number;
  readonly rows: number;
  readonly heads: number;
  readonly headDim: number;
}): {
  readonly rows: number;
  readonly out: number;
} {
  const count = batches * rows * heads;
  return { rows: 8 * count, out: 4 * count * headDim };
}

/** Index into the carried rows; expects `params`. */
export const CARRY_FUNCTIONS = `
fn carriedIndex(batch: u32, head: u32, row: u32) -> u32 {
  return (batch * (params.rowEnd - params.rowFirst) + row - params.rowFirst) * params.heads + head;
}
`;
