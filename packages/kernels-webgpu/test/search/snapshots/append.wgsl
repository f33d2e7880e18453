struct Append {
  first: u32,
  tokens: u32,
  words: u32,
  sourceWords: u32,
  sourceFirst: u32,
}
@group(0) @binding(0) var<uniform> append: Append;
@group(0) @binding(1) var<storage, read> new_k: array<vec4u>;
@group(0) @binding(2) var<storage, read> new_v: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> k: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> v: array<vec4u>;
@group(0) @binding(5) var<storage, read> pages: array<u32>;
@compute @workgroup_size(128)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 128u;
  if (i >= append.tokens * append.words) { return; }
  let source = (i / append.words) * append.sourceWords + append.sourceFirst + i % append.words;
  let token = append.first + i / append.words;
  let target_word = ((pages[token >> 8u] << 8u) | (token & 255u)) * append.words + i % append.words;
  k[target_word] = new_k[source];
  v[target_word] = new_v[source];
}
