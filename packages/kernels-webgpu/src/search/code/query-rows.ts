// The scored rows of a cell as columns of octets for matrices: f16 as it is stored, or means of stride groups.

export interface QueryRows {
  /** Array of vec4u in workgroup memory. */
  readonly target: string;
  /** Rows, a multiple of 16; absent ones repeat the last. */
  readonly count: number;
  readonly octets: number;
  /** Expression: where the c-th octet stands in a row of q. */
  readonly at: (c: string) => string;
  readonly strideQ: number;
  readonly rows: 'max' | 'mean';
  readonly lanes: number;
}

/** Statements; declare `last`, the last scored row. Expect `block`, `batch`, `head`, `lane`, and `pack_means` for means. */
export function queryRowsCode({ target, count, octets, at, strideQ, rows, lanes }: QueryRows): string {
  const source = (row: string): string =>
    `q[query_octet(batch, block.first_row + ${row}, head) + ${at(`i % ${octets}u`)}]`;
  const value =
    rows === 'max'
      ? `    ${target}[i] = ${source('end - 1u')};`
      : `    var lo = vec4f(0.0);
    var hi = vec4f(0.0);
    for (var row = start; row < end; row++) {
      let bits = ${source('row')};
      lo += vec4f(unpack2x16float(bits.x), unpack2x16float(bits.y));
      hi += vec4f(unpack2x16float(bits.z), unpack2x16float(bits.w));
    }
    lo /= f32(end - start);
    hi /= f32(end - start);
    ${target}[i] = vec4u(pack_means(lo.xy), pack_means(lo.zw), pack_means(hi.xy), pack_means(hi.zw));`;
  return `let last = (block.rows - 1u) / ${strideQ}u;
  for (var i = lane; i < ${count * octets}u; i += ${lanes}u) {
    let start = min(i / ${octets}u, last) * ${strideQ}u;
    let end = min(start + ${strideQ}u, block.rows);
${value}
  }`;
}
