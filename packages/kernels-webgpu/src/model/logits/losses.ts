// Cross-entropy of given tokens, so that no logits come back: a workgroup a row.
import { LOWEST } from '../../code/softmax.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import type { BufferRange, GpuCall } from '../../dispatch/call.ts';
import type { GpuTensor } from '../../dispatch/tensor.ts';
import { checkCounts, floatsOf } from '../check.ts';
import { reduceFunction } from '../rows/reduce-code.ts';
import { spreadRows } from '../spread.ts';

const THREADS = 256;

const params = uniformBlock('Params', { rows: 'u32', vocabulary: 'u32' });

/** Each thread keeps a running maximum and the sum of exponentials below it, so that logits are read once. */
export const LOSSES_CODE = wgsl(
  params.declaration,
  bindings([
    'var<uniform> params: Params',
    'var<storage, read> logits: array<f32>',
    'var<storage, read> targets: array<u32>',
    'var<storage, read_write> out: array<f32>',
  ]),
  reduceFunction('most_of', 'max(a, b)', THREADS),
  reduceFunction('sum_of', 'a + b', THREADS),
  `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let base = row * params.vocabulary;
  var most = ${LOWEST};
  var sum = 0.0;
  var odd = 0.0;
  for (var i = thread; i < params.vocabulary; i += ${THREADS}u) {
    let value = logits[base + i];
    if ((bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u) { odd += 1.0; continue; }
    if (value > most) { sum *= exp(max(most - value, -150.0)); most = value; }
    sum += exp(max(value - most, -150.0));
  }
  let top = most_of(most, thread);
  let total = sum_of(sum * exp(max(most - top, -150.0)), thread);
  let bad = sum_of(odd, thread) + select(0.0, 1.0, targets[row] >= params.vocabulary);
  if (thread == 0u) {
    let loss = log(total) + top - logits[base + min(targets[row], params.vocabulary - 1u)];
    out[row] = select(loss, bitcast<f32>(0x7fc00000u | (row & 0u)), bad > 0.0);
  }
}`,
);

/**
 * out[i] = −log softmax(logits[i])[targets[i]], in nats; NaN where a logit of the row is not finite, or the target is none.
 *
 * @throws HipError `invalid-shape`, `unsupported`
 */
export function encodeLosses(
  call: GpuCall,
  {
    logits,
    targets,
    out,
  }: {
    /** [rows, vocabulary], f32 */
    readonly logits: GpuTensor;
    /** u32 [rows] */
    readonly targets: BufferRange;
    /** [rows], f32 */
    readonly out: GpuTensor;
  },
  { rows, vocabulary }: { readonly rows: number; readonly vocabulary: number },
): void {
  checkCounts({ rows, vocabulary });
  call.pass({
    label: 'losses',
    pipeline: { label: 'losses', code: LOSSES_CODE },
    bindings: [
      { uniform: params.pack({ rows, vocabulary }) },
      floatsOf('logits', logits, rows * vocabulary),
      { buffer: targets.buffer, offset: targets.offset, size: 4 * rows },
      floatsOf('out', out, rows),
    ],
    workgroups: spreadRows(rows, call.context.limits),
  });
}
