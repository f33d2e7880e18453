// Stored matrices as float16 in scratch: for products of so many rows that each weight would be dequantised again and again.
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { GpuCall } from '../../dispatch/call.ts';
import { memoCode } from '../../search/code/memo.ts';
import { octetsOf } from '../octets.ts';
import { READER_FUNCTIONS, readerCode } from './code.ts';
import { rowLayout, type RowLayout } from './layout.ts';
import type { GpuMatrix, MatrixPart } from './matrix.ts';

/** What products read of a matrix. */
export type ProductMatrix = Pick<GpuMatrix, 'layout' | 'columns' | 'rows' | 'type' | 'parts'>;

const THREADS = 256;

const params = uniformBlock('Params', { rows: 'u32' });

export function halvesCode(layout: RowLayout): string {
  const octets = octetsOf(layout.columns);
  return wgsl(
    params.declaration,
    bindings([
      'var<uniform> params: Params',
      'var<storage, read> w: array<vec4<u32>>',
      'var<storage, read_write> out: array<vec4<u32>>',
    ]),
    READER_FUNCTIONS,
    readerCode('weights', { buffer: 'w', layout }),
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * ${THREADS}u;
  if (i >= params.rows * ${octets}u) { return; }
  let m = weights(i / ${octets}u, i % ${octets}u);
  out[i] = vec4<u32>(pack2x16float(m[0].xy), pack2x16float(m[0].zw), pack2x16float(m[1].xy), pack2x16float(m[1].zw));
}`,
  );
}

/** Adds the passes. @returns the matrix in scratch of the call, each number rounded as the matrix kernels round it */
export function encodeHalves(call: GpuCall, matrix: ProductMatrix): ProductMatrix {
  const { limits } = call.context;
  const layout = rowLayout('F16', matrix.columns);
  const octets = octetsOf(matrix.columns);
  const parts = matrix.parts.map(({ buffer, firstRow, rows }): MatrixPart => {
    const bytes = rows * layout.rowBytes;
    const out = call.scratch(bytes, 'weights as halves');
    const groups = Math.ceil((rows * octets) / THREADS);
    const x = Math.min(groups, limits.maxComputeWorkgroupsPerDimension);
    call.pass({
      label: 'halves',
      pipeline: { label: `halves of ${matrix.type}`, code: memoCode(halvesCode, matrix.layout) },
      bindings: [{ uniform: params.pack({ rows }) }, { buffer }, { buffer: out, size: bytes }],
      workgroups: [x, Math.ceil(groups / x)],
    });
    return { buffer: out, firstRow, rows };
  });
  return { layout, columns: matrix.columns, rows: matrix.rows, type: 'F16', parts };
}

/** Whether every part of a matrix fits a binding as float16. */
export function fitsHalves(
  matrix: ProductMatrix,
  limits: { readonly maxStorageBufferBindingSize: number; readonly maxBufferSize: number },
): boolean {
  const { rowBytes } = rowLayout('F16', matrix.columns);
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  return matrix.parts.every(({ rows }) => rows * rowBytes <= most);
}
