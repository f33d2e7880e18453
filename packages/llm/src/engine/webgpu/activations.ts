// Activations of so many rows in GPU memory: of a chunk of a prompt, or of the conversations that step together.
import type { ModelConfig, RopeConfig } from '@hip/checkpoints';
import { emptyTensor, tensorBytes, type DeviceProfile, type GpuContext, type GpuTensor } from '@hip/kernels-webgpu';
import { SHORT_ROWS } from '@hip/kernels-webgpu/model';
import type { LayerShape } from '../layers.ts';
import { cachedHeadDim } from './layers.ts';

/** Rows of logits that are in memory at a time. */
export const LOGIT_ROWS = 8;

type ElementType = GpuTensor['type'];

interface Form {
  readonly type: ElementType;
  readonly length: number;
}

/** Tensors by purpose; those that a model has no use for are undefined. */
export interface Rows<T> {
  /** The residual stream [rows, hidden]. */
  readonly hidden: T;
  /** A block's output before its norm, or rows of learned positions. */
  readonly aside: T;
  /** Products [rows, heads, headDim] as they are turned. */
  readonly query: T;
  readonly key: T;
  readonly value: T;
  /** What the attention reads and writes: in the cache's type, heads of a multiple of eight numbers. */
  readonly cachedQuery: T;
  readonly cachedKey: T;
  readonly cachedValue: T;
  readonly attended: T;
  /** The FFN's units: f32 in up to `SHORT_ROWS` rows. */
  readonly inner: T;
  /** Rows whose logits are asked for [LOGIT_ROWS, hidden]. */
  readonly last: T;
  readonly logits: T;
}

export interface RowsOptions {
  readonly rows: number;
  readonly cache: ElementType;
  /** Weights are f32, and so are all activations. */
  readonly isExact: boolean;
}

/** What tensors are, and whether some share a buffer. */
export interface RowForms {
  readonly tensors: Rows<Form>;
  readonly shares: boolean;
}

/** What each tensor of {@link Rows} is. */
export function rowBuffers(
  config: ModelConfig,
  layers: readonly LayerShape[],
  { rows, cache, profile, isExact }: RowsOptions & { readonly profile: DeviceProfile },
): RowForms {
  const widest = (of: (shape: LayerShape) => number): number => rows * Math.max(...layers.map(of));
  const floats = (length: number): Form => ({ type: 'f32', length });
  const cached = (count: 'heads' | 'kvHeads'): Form => ({
    type: cache,
    length: widest((shape) => shape[count] * cachedHeadDim(shape)),
  });
  const asked = Math.min(rows, LOGIT_ROWS);
  // A few rows are floats.
  const halves: Form = {
    type: 'f16',
    length: Math.max(rows, 2 * Math.min(rows, SHORT_ROWS)) * Math.max(...layers.map(({ ffn }) => ffn)),
  };
  const { placement } = config.norm;
  const needsAside = placement === 'output' || placement === 'sandwich' || config.positionRows > 0;
  const shares = isDirect(layers, { cache, profile });
  const tensors: Rows<Form> = {
    hidden: floats(rows * config.hiddenSize),
    aside: floats(needsAside ? rows * config.hiddenSize : 1),
    query: floats(widest(({ heads, headDim }) => heads * headDim)),
    key: floats(widest(({ kvHeads, headDim }) => kvHeads * headDim)),
    value: floats(shares ? 1 : widest(({ kvHeads, headDim }) => kvHeads * headDim)),
    cachedQuery: cached('heads'),
    cachedKey: cached('kvHeads'),
    cachedValue: cached('kvHeads'),
    attended: cached('heads'),
    inner: profile.shaderF16 && !isExact ? halves : floats(widest(({ ffn }) => ffn)),
    last: floats(asked * config.hiddenSize),
    logits: floats(asked * config.vocabSize),
  };
  return { tensors, shares };
}

/** Used one after another, each dead when the next is written: one buffer, unless heads are padded between them. */
const SHARED: readonly (keyof Rows<unknown>)[] = ['query', 'attended', 'inner'];

/** Whether kernels write queries, keys and values as attention reads them. */
function isDirect(
  layers: readonly LayerShape[],
  { cache, profile }: Pick<RowsOptions, 'cache'> & { readonly profile: DeviceProfile },
): boolean {
  return (cache === 'f32' || profile.shaderF16) && layers.every((shape) => cachedHeadDim(shape) === shape.headDim);
}

/** What the tensors take together. */
export function activationBytes(forms: RowForms): number {
  return [...groupsOf(forms)].reduce((sum, names) => sum + groupBytes(forms, names), 0);
}

/** Tensors that share a buffer. */
function groupsOf({ tensors, shares }: RowForms): (keyof Rows<unknown>)[][] {
  const names = Object.keys(tensors) as (keyof Rows<unknown>)[];
  return shares
    ? [[...SHARED], ...names.filter((name) => !SHARED.includes(name)).map((name) => [name])]
    : names.map((name) => [name]);
}

function groupBytes({ tensors }: RowForms, names: readonly (keyof Rows<unknown>)[]): number {
  return Math.max(...names.map((name) => tensorBytes(tensors[name].type, tensors[name].length)));
}

/** Tables of one rotation: cos and sin [rows, pairs]. */
export interface RotationTables {
  readonly cos: GpuTensor;
  readonly sin: GpuTensor;
}

/** The rotations of some layers, each once. */
export function ropesOf(layers: readonly LayerShape[]): readonly RopeConfig[] {
  return [...new Set(layers.flatMap(({ rope }): RopeConfig[] => (rope ? [rope] : [])))];
}

export class Activations implements Disposable {
  readonly rows: number;
  readonly tensors: Rows<GpuTensor>;
  /** u32 [rows] */
  readonly ids: GpuTensor;
  /** Rows of the table of learned positions, u32 [rows]. */
  readonly positions: GpuTensor;
  readonly tables: ReadonlyMap<RopeConfig, RotationTables>;
  readonly bytes: number;

  constructor(context: GpuContext, config: ModelConfig, layers: readonly LayerShape[], options: RowsOptions) {
    const { rows } = options;
    this.rows = rows;
    const forms = rowBuffers(config, layers, { ...options, profile: context.profile });
    const make = (form: Form, label: string): GpuTensor => emptyTensor({ context, ...form, label });
    this.tensors = Object.fromEntries(
      groupsOf(forms).flatMap((names) => {
        const { buffer } = make({ type: 'f32', length: Math.ceil(groupBytes(forms, names) / 4) }, names.join(', '));
        return names.map((name) => [name, { buffer, ...forms.tensors[name] }]);
      }),
    ) as unknown as Rows<GpuTensor>;
    this.ids = make({ type: 'f32', length: rows }, 'ids');
    this.positions = make({ type: 'f32', length: rows }, 'positions');
    this.tables = new Map(
      ropesOf(layers).map((rope) => {
        const form: Form = { type: 'f32', length: rows * rope.inverseFrequencies.length };
        return [rope, { cos: make(form, 'cosines'), sin: make(form, 'sines') }];
      }),
    );
    const extra = [...this.tables.values()].reduce((sum, { cos }) => sum + 8 * cos.length, 8 * rows);
    this.bytes = activationBytes(forms) + extra;
  }

  [Symbol.dispose](): void {
    const tables = [...this.tables.values()].flatMap(({ cos, sin }) => [cos, sin]);
    for (const { buffer } of [...(Object.values(this.tensors) as GpuTensor[]), this.ids, this.positions, ...tables])
      buffer.destroy();
  }
}
