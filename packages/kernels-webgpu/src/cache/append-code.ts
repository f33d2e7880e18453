// Writes new keys and values into a pool's pages.
import { bindings, wgsl } from '../code/wgsl.ts';
import { uniformBlock } from '../code/uniforms.ts';

export const APPEND_LANES = 128;

/** In 16-byte words. */
export const APPEND = uniformBlock('Append', {
  /** Position of the first new token. */
  first: 'u32',
  tokens: 'u32',
  /** One token's heads of this pool, all heads of the source, and this pool's first within it. */
  words: 'u32',
  sourceWords: 'u32',
  sourceFirst: 'u32',
});

/** Bindings: append, new keys, new values, keys, values, [pages]. Numbers are copied as they are stored, 16 bytes at a time. */
export function appendCode(pageShift: number | undefined): string {
  const row =
    pageShift === undefined
      ? 'token'
      : `(pages[token >> ${pageShift}u] << ${pageShift}u) | (token & ${2 ** pageShift - 1}u)`;
  return wgsl(
    APPEND.declaration,
    bindings([
      'var<uniform> append: Append',
      'var<storage, read> new_k: array<vec4u>',
      'var<storage, read> new_v: array<vec4u>',
      'var<storage, read_write> k: array<vec4u>',
      'var<storage, read_write> v: array<vec4u>',
      ...(pageShift === undefined ? [] : ['var<storage, read> pages: array<u32>']),
    ]),
    `@compute @workgroup_size(${APPEND_LANES})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * ${APPEND_LANES}u;
  if (i >= append.tokens * append.words) { return; }
  let source = (i / append.words) * append.sourceWords + append.sourceFirst + i % append.words;
  let token = append.first + i / append.words;
  let target_word = (${row}) * append.words + i % append.words;
  k[target_word] = new_k[source];
  v[target_word] = new_v[source];
}`,
  );
}
