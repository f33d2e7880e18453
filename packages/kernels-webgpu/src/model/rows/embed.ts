// Rows of a stored matrix, looked up by ids that are on the GPU.
import type { ElementType } from '../../device/features.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { BufferRange, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { memoCode } from '../../search/code/memo.ts';
import { checkCounts, checkNumber, writableOf } from '../check.ts';
import { OCTET, octetsOf } from '../octets.ts';
import { spreadRows } from '../spread.ts';
import { READER_FUNCTIONS, readerCode } from '../weights/code.ts';
import type { RowLayout } from '../weights/layout.ts';
import type { GpuMatrix } from '../weights/matrix.ts';

const THREADS = 64;

const params = uniformBlock('Params', {
  ids: 'u32',
  firstRow: 'u32',
  rows: 'u32',
  allRows: 'u32',
  scale: 'f32',
});

export interface EmbedKernel {
  readonly layout: RowLayout;
  readonly out: ElementType;
  /** Rows are added to what the output holds. */
  readonly add: boolean;
}

/** A thread reads an octet. An id beyond the matrix becomes a row of NaN, by the first buffer's pass. */
export function embedCode({ layout, out, add }: EmbedKernel): string {
  const octets = octetsOf(layout.columns);
  return wgsl(
    out === 'f16' ? 'enable f16;' : '',
    params.declaration,
    bindings([
      'var<uniform> params: Params',
      'var<storage, read> ids: array<u32>',
      'var<storage, read> w: array<vec4<u32>>',
      `var<storage, read_write> out: array<${out}>`,
    ]),
    READER_FUNCTIONS,
    readerCode('weights', { buffer: 'w', layout }),
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = (group.y * groups.x + group.x) * ${THREADS}u + thread;
  let token = index / ${octets}u;
  let octet = index % ${octets}u;
  if (token >= params.ids) { return; }
  let id = ids[token];
  let missing = id >= params.allRows && params.firstRow == 0u;
  if (!missing && (id < params.firstRow || id >= params.firstRow + params.rows)) { return; }
  let values = weights(select(id - params.firstRow, 0u, missing), octet);
  let nan = bitcast<f32>(0x7fc00000u | (id & 0u));
  for (var i = 0u; i < ${OCTET}u; i++) {
    let column = octet * ${OCTET}u + i;
    if (column >= ${layout.columns}u) { return; }
    let at = token * ${layout.columns}u + column;
    let value = select(params.scale * values[i >> 2u][i & 3u], nan, missing);
    out[at] = ${out}(${add ? 'f32(out[at]) + ' : ''}value);
  }
}`,
  );
}

/**
 * out[i] = scale · matrix[ids[i]], or is added to where `add` is given (position tables).
 *
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`; `internal` for a disposed matrix
 */
export function encodeEmbed(
  call: GpuCall,
  {
    out,
    ids,
    matrix,
  }: {
    /** [rows, columns] */
    readonly out: GpuTensor;
    /** u32 [rows]; an id that is no row becomes NaN. */
    readonly ids: BufferRange;
    readonly matrix: GpuMatrix;
  },
  {
    rows,
    scale = 1,
    add = false,
  }: { readonly rows: number; readonly scale?: number | undefined; readonly add?: boolean },
): void {
  const { context } = call;
  checkCounts({ rows });
  checkNumber('scale', scale);
  const { layout, columns } = matrix;
  const target = writableOf(context, 'out', out, rows * columns);
  const workgroups = spreadRows(Math.ceil((rows * octetsOf(columns)) / THREADS), context.limits);
  for (const part of matrix.parts) {
    const { firstRow } = part;
    call.pass({
      label: 'embed',
      pipeline: { label: `embed ${layout.type}`, code: memoCode(embedCode, { layout, out: out.type, add }) },
      bindings: [
        { uniform: params.pack({ ids: rows, firstRow, rows: part.rows, allRows: matrix.rows, scale }) },
        { buffer: ids.buffer, offset: ids.offset, size: 4 * rows },
        { buffer: part.buffer },
        target,
      ],
      workgroups,
    });
  }
}
