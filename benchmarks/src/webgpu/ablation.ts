// What bounds the dense matrix kernel: its time with one part taken out at a time. The results of these runs are wrong on purpose.
import { emptyTensor, encodeAttention, GpuCall, type GpuContext, type Pass } from '@hip/kernels-webgpu';
import { matrixCandidates } from './attention-check.ts';
import { measure } from './measure.ts';
import { randomTensor } from './random.ts';
import { LLAMA } from './search.ts';

/** A call whose WGSL is rewritten before it is compiled. */
class RewritingCall extends GpuCall {
  readonly #rewrite: (code: string) => string;

  constructor(context: GpuContext, rewrite: (code: string) => string) {
    super(context);
    this.#rewrite = rewrite;
  }

  override pass(pass: Pass): void {
    super.pass({ ...pass, pipeline: { ...pass.pipeline, code: this.#rewrite(pass.pipeline.code) } });
  }
}

const UNIFORM_LOAD = /let raise = workgroupUniformLoad\(&raised\) == tileIndex \+ 1u;/;

/** Part taken out → how. */
const ABLATIONS: Readonly<Record<string, (code: string) => string>> = {
  nothing: (code) => code,
  'values loaded in the order of keys': (code) => code.replaceAll('row_major>(&staged', 'col_major>(&staged'),
  'queries held in registers': (code) =>
    code.replaceAll(
      /subgroupMatrixMultiplyAccumulate\(q0_(\d+),/g,
      (_, step: string) =>
        `subgroupMatrixMultiplyAccumulate(subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&q, queryBase + ${2 * Number(step)}u, params.rowStride / 2u),`,
    ),
  'vote on a raised maximum': (code) => code.replace(UNIFORM_LOAD, 'workgroupBarrier(); let raise = tileIndex == 0u;'),
  exponentials: (code) => code.replaceAll(/exp2\(max\((x\d+_\d+) - base\d+, vec2<f32>\(-150\.0\)\)\)/g, '($1 * 0.01)'),
  'reads of keys and values': (code) => {
    const loop = code.indexOf('for (var tileIndex');
    return code.slice(0, loop) + code.slice(loop).replaceAll(/held\d+ = [kv]\[.*?\];/g, '');
  },
  barriers: (code) => {
    const loop = code.indexOf('for (var tileIndex');
    return (
      code.slice(0, loop) +
      code.slice(loop).replace(UNIFORM_LOAD, 'let raise = tileIndex == 0u;').replaceAll('workgroupBarrier();', '')
    );
  },
  'products with values': (code) =>
    code.replaceAll(/(o\d+_\d+) = subgroupMatrixMultiplyAccumulate\(p\d+_\d+, .*?, o\d+_\d+\);/g, ''),
  'products with keys': (code) =>
    code.replaceAll(/(s\d+_\d+) = subgroupMatrixMultiplyAccumulate\(q\d+_\d+, .*?, s\d+_\d+\);/g, ''),
  'stores of scores': (code) =>
    code.replaceAll(/subgroupMatrixStore<row_major>\(&scores, matrixBase \+ \d+u, s\d+_\d+, \d+u\);/g, ''),
};

/** Times of the dense kernel without each part. */
export async function ablationRows(
  context: GpuContext,
  {
    tokens = 8192,
    deadline = Infinity,
    log,
  }: { tokens?: number; deadline?: number; log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const { heads, kvHeads, headDim } = LLAMA;
  const shape = { batch: 1, queries: tokens, keys: tokens, ...LLAMA };
  const q = randomTensor(context, 'f16', tokens * heads * headDim, 1);
  const tensors = {
    q,
    k: randomTensor(context, 'f16', tokens * kvHeads * headDim, 2),
    v: randomTensor(context, 'f16', tokens * kvHeads * headDim, 3),
    out: emptyTensor({ context, type: 'f16', length: q.length }),
  };
  const [variant] = matrixCandidates(context.profile.subgroupMaxSize);
  const rows: Record<string, unknown>[] = [];
  for (const [part, rewrite] of Object.entries(ABLATIONS)) {
    if (performance.now() > deadline) break;
    try {
      const call = new RewritingCall(context, rewrite);
      encodeAttention(call, tensors, shape, undefined, { variant });
      const prepared = call.prepare();
      const { gpuMs } = await measure(context, (timer) => prepared.submit(timer), { runs: 2, wallRuns: 1 });
      prepared.release();
      rows.push({ what: 'dense flash attention, ablation', without: part, tokens, gpuMs });
    } catch (error) {
      rows.push({ what: 'dense flash attention, ablation', without: part, failure: String(error).slice(0, 300) });
    }
    log?.(JSON.stringify(rows.at(-1)));
  }
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return rows;
}
