// WGSL sums over a workgroup in one order, so that two runs agree: a tree in workgroup memory, which every device has.

/** Threads of kernels that give a workgroup a row. */
export const ROW_THREADS = 128;

/**
 * `fn NAME(value: f32, thread: u32) -> f32`: combined over all threads, the same for each of them; called by all of them.
 *
 * @param combine expression of a and b
 */
export function reduceFunction(name: string, combine: string, threads = ROW_THREADS, type = 'f32'): string {
  return `var<workgroup> ${name}_lanes: array<${type}, ${threads}>;
fn ${name}(value: ${type}, thread: u32) -> ${type} {
  ${name}_lanes[thread] = value;
  workgroupBarrier();
  for (var step = ${threads / 2}u; step > 0u; step >>= 1u) {
    if (thread < step) { let a = ${name}_lanes[thread]; let b = ${name}_lanes[thread + step]; ${name}_lanes[thread] = ${combine}; }
    workgroupBarrier();
  }
  let total = ${name}_lanes[0];
  workgroupBarrier();
  return total;
}`;
}
