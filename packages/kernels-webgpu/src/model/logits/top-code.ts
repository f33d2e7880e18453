// WGSL that finds a row's largest logits exactly: slices are sorted in workgroup memory, and the best of them again.
import { LOWEST } from '../../code/softmax.ts';
import { bindings, wgsl } from '../../code/wgsl.ts';
import { uniformBlock } from '../../code/uniforms.ts';
import { reduceFunction } from '../rows/reduce-code.ts';

/** Numbers that are sorted together, and the threads that do it. */
export const SLICE = 1024;
const THREADS = 256;

export const topParams = uniformBlock('Params', {
  /** Logits, or candidates, of a row. */
  length: 'u32',
  /** Workgroups of a row. */
  slices: 'u32',
  /** Slices of the logits, whose sums the last pass adds. */
  sums: 'u32',
  /** 1 / temperature, of all rows. */
  inverse: 'f32',
});

/** `first` reads logits; `last` writes the answer. */
export interface TopKernel {
  readonly first: boolean;
  readonly last: boolean;
  /** Candidates that a slice keeps. */
  readonly keep: number;
  /** Logits are multiplied by the inverse of a temperature, of all rows or of each, for a second sum. */
  readonly tempered: 'all' | 'each' | undefined;
}

/** Words before a row's ids: how many logits are not finite, maximum, sum of exponentials, the same at the row's temperature. */
export const TOP_HEAD = 4;

/**
 * Keys order as numbers do; equal ones go by id, the lowest first, so the order of a bitonic sort is the only one there is. NaN comes
 * last, and is counted with infinity.
 */
export function topKernelCode({ first, last, keep, tempered }: TopKernel): string {
  const source = first ? 'var<storage, read> logits: array<f32>' : 'var<storage, read> candidates: array<vec2<u32>>';
  const target = last
    ? 'var<storage, read_write> answer: array<u32>'
    : 'var<storage, read_write> kept: array<vec2<u32>>';
  const sums = first ? 'var<storage, read_write> sums: array<vec4<f32>>' : 'var<storage, read> sums: array<vec4<f32>>';
  const bound = first || last;
  return wgsl(
    topParams.declaration,
    bindings([
      'var<uniform> params: Params',
      source,
      target,
      ...(bound ? [sums] : []),
      ...(bound && tempered === 'each' ? ['var<storage, read> inverses: array<f32>'] : []),
    ]),
    `var<workgroup> keys: array<u32, ${SLICE}>;
var<workgroup> ids: array<u32, ${SLICE}>;
fn key_of(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 1u; }
  // −0 is 0.
  let same = select(bits, 0u, bits == 0x80000000u);
  return select(same | 0x80000000u, ~same, (same & 0x80000000u) != 0u);
}
fn bits_of(key: u32) -> u32 { return select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u); }`,
    bound
      ? [reduceFunction('most_of', 'max(a, b)', THREADS), reduceFunction('sum_of', 'a + b', THREADS)].join('\n')
      : '',
    `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let slice = group.x;
  let base = slice * ${SLICE}u;
  ${first ? `var most = ${LOWEST};\n  var odd = 0.0;` : ''}
  for (var i = thread; i < ${SLICE}u; i += ${THREADS}u) {
    let at = base + i;
    var key = 0u;
    var id = 0xffffffffu;
    if (at < params.length) {
      ${
        first
          ? `let value = logits[row * params.length + at];
      key = key_of(value);
      id = at;
      if ((bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u) { odd += 1.0; } else { most = max(most, value); }`
          : `let candidate = candidates[row * params.length + at];
      key = candidate.x;
      id = candidate.y;`
      }
    }
    keys[i] = key;
    ids[i] = id;
  }
  ${
    first
      ? `most = most_of(most, thread);
  odd = sum_of(odd, thread);
  var sum = 0.0;
  ${tempered ? `let inverse = ${tempered === 'each' ? 'inverses[row]' : 'params.inverse'};\n  var warm = 0.0;` : ''}
  for (var i = thread; i < ${SLICE}u; i += ${THREADS}u) {
    if (ids[i] != 0xffffffffu) {
      let value = bitcast<f32>(bits_of(keys[i]));
      if ((bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u) {
        sum += exp(max(value - most, -150.0));
        ${tempered ? 'warm += exp(max((value - most) * inverse, -150.0));' : ''}
      }
    }
  }
  sum = sum_of(sum, thread);
  ${tempered ? 'warm = sum_of(warm, thread);' : 'let warm = sum;'}
  if (thread == 0u) { sums[row * params.slices + slice] = vec4<f32>(most, sum, odd, warm); }`
      : ''
  }
  workgroupBarrier();
  for (var run = 2u; run <= ${SLICE}u; run <<= 1u) {
    for (var step = run >> 1u; step > 0u; step >>= 1u) {
      for (var pair = thread; pair < ${SLICE / 2}u; pair += ${THREADS}u) {
        let i = (pair / step) * step * 2u + pair % step;
        let j = i + step;
        let a = keys[i];
        let b = keys[j];
        let c = ids[i];
        let d = ids[j];
        let after = (a < b) | ((a == b) & (c > d));
        if (after == ((i & run) == 0u)) { keys[i] = b; keys[j] = a; ids[i] = d; ids[j] = c; }
      }
      workgroupBarrier();
    }
  }
  ${
    last
      ? `var top = ${LOWEST};
  for (var i = thread; i < params.sums; i += ${THREADS}u) { top = max(top, sums[row * params.sums + i].x); }
  top = most_of(top, thread);
  var total = 0.0;
  var bad = 0.0;
  ${tempered ? `let inverse = ${tempered === 'each' ? 'inverses[row]' : 'params.inverse'};\n  var warm = 0.0;` : ''}
  for (var i = thread; i < params.sums; i += ${THREADS}u) {
    let each = sums[row * params.sums + i];
    total += each.y * exp(max(each.x - top, -150.0));
    bad += each.z;
    ${tempered ? 'warm += each.w * exp(max((each.x - top) * inverse, -150.0));' : ''}
  }
  total = sum_of(total, thread);
  bad = sum_of(bad, thread);
  ${tempered ? 'warm = sum_of(warm, thread);' : 'let warm = total;'}
  let out = row * ${TOP_HEAD + 2 * keep}u;
  if (thread == 0u) {
    answer[out] = u32(bad);
    answer[out + 1u] = bitcast<u32>(top);
    answer[out + 2u] = bitcast<u32>(total);
    answer[out + 3u] = bitcast<u32>(warm);
  }
  for (var i = thread; i < ${keep}u; i += ${THREADS}u) {
    answer[out + ${TOP_HEAD}u + i] = ids[i];
    answer[out + ${TOP_HEAD + keep}u + i] = bits_of(keys[i]);
  }`
      : `for (var i = thread; i < ${keep}u; i += ${THREADS}u) { kept[(row * params.slices + slice) * ${keep}u + i] = vec2<u32>(keys[i], ids[i]); }`
  }
}`,
  );
}
