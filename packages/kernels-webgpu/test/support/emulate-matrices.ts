// Rewrites WGSL that uses subgroup matrices into plain WGSL with the same results: every lane holds whole matrices. Slow; for
// tests of the matrix kernels' indexing on a device without them.

const SUBGROUP = 32;

/** The rewritten module. Expects the search kernels' habits: aliases Left, Right, Result, factors in arrays of vec4u, results stored to `tiles`, subgroups of 32. */
export function emulateMatrices(code: string): string {
  if (!code.includes('subgroupMatrix')) return code;
  const vectors = /var<workgroup> tiles: array<vec4f/.test(code);
  const octets = [...code.matchAll(/var<(?:storage, read|workgroup)> (\w+): array<vec4u/g)].map(([, name]) => name!);
  const loaded = octets.filter((name) => code.includes(`(&${name},`));
  const loaders = loaded
    .map((buffer) =>
      [
        ['left', 'r * stride * 8u + c'],
        ['right', 'c * stride * 8u + r'],
      ]
        .map(
          ([side, index]) => `fn load_${side}_${buffer}(offset: u32, stride: u32) -> array<f32, 256> {
  var m: array<f32, 256>;
  for (var r = 0u; r < 16u; r++) { for (var c = 0u; c < 16u; c++) { let i = offset * 8u + ${index}; m[r * 16u + c] = unpack2x16float(${buffer}[i / 8u][(i % 8u) / 2u])[i % 2u]; } }
  return m;
}`,
        )
        .join('\n'),
    )
    .join('\n');
  const helpers = `fn multiply(a: array<f32, 256>, b: array<f32, 256>, c: array<f32, 256>) -> array<f32, 256> {
  var left = a;
  var right = b;
  var m = c;
  for (var i = 0u; i < 256u; i++) { for (var k = 0u; k < 16u; k++) { m[i] += left[(i / 16u) * 16u + k] * right[k * 16u + i % 16u]; } }
  return m;
}
fn store_tiles(offset: u32, value: array<f32, 256>, stride: u32) {
  var m = value;
  for (var i = 0u; i < 256u; i++) { ${vectors ? 'let at = 4u * offset + (i / 16u) * 4u * stride + i % 16u; tiles[at / 4u][at % 4u] = m[i];' : 'tiles[offset + (i / 16u) * stride + i % 16u] = m[i];'} }
}
var<workgroup> lanes: array<f32, 256>;
fn subgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  lanes[lane] = value;
  workgroupBarrier();
  var best = value;
  for (var i = 0u; i < ${SUBGROUP}u; i++) { best = max(best, lanes[lane - lane % ${SUBGROUP}u + i]); }
  return best;
}
fn shuffle_xor(value: f32, step: u32, lane: u32) -> f32 {
  workgroupBarrier();
  lanes[lane] = value;
  workgroupBarrier();
  return lanes[lane ^ step];
}`;
  return code
    .replace(/^enable .*$/gm, '')
    .replace(/alias (Left|Right|Result) = .*$/gm, 'alias $1 = array<f32, 256>;')
    .replace(/subgroupMatrixLoad<Left, row_major>\(&(\w+), /g, 'load_left_$1(')
    .replace(/subgroupMatrixLoad<Right, col_major>\(&(\w+), /g, 'load_right_$1(')
    .replaceAll('subgroupMatrixMultiplyAccumulate(', 'multiply(')
    .replace(/subgroupMatrixStore<row_major>\(&tiles, /g, 'store_tiles(')
    .replace(/subgroupShuffleXor\((\w+), (\d+u)\)/g, 'shuffle_xor($1, $2, lane)')
    .replace(/subgroupMax\((\w+)\)/g, 'subgroup_max($1, lane)')
    .replace(/fn main\(([^{]*)\) \{/, (_, parameters: string) => {
      const kept = parameters.split(/,\s*(?=@)/).filter((parameter) => !/subgroup_(id|invocation_id)/.test(parameter));
      const lane = kept.some((parameter) => parameter.includes('local_invocation_index'))
        ? []
        : ['@builtin(local_invocation_index) lane: u32'];
      const inside = [/subgroup_id/, /subgroup_invocation_id/].map((name) => (name.test(parameters) ? '' : '_'));
      return `fn main(${[...kept, ...lane].join(', ')}) {
  ${inside[0] === '' ? `let subgroup = lane / ${SUBGROUP}u;` : ''}
  ${inside[1] === '' ? `let within = lane % ${SUBGROUP}u;` : ''}`;
    })
    .concat(loaders, '\n', helpers);
}
