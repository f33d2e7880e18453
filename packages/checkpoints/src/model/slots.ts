// Which weights a model of a given configuration has: names, shapes, elastic axes. The one list that everything else follows.
import type { ElasticAxis, ModelConfig, RopeConfig, WeightSlot } from './config.ts';

/** Query heads of a layer (less than `config.heads` in an extraction with unequal layers). */
export function layerHeads(config: ModelConfig, layer: number): number {
  return config.layerHeads?.[layer] ?? config.heads;
}

/** FFN units of a layer. */
export function layerFfn(config: ModelConfig, layer: number): number {
  return config.layerFfn?.[layer] ?? config.ffn;
}

/** Key/value heads of a layer: `config.layerKvHeads` where an extraction left another ratio than the model's. */
export function layerKvHeads(config: ModelConfig, layer: number): number {
  return config.layerKvHeads?.[layer] ?? layerHeads(config, layer) / headGroup(config);
}

/** Query heads per key/value head. */
export function headGroup(config: ModelConfig): number {
  return config.heads / config.kvHeads;
}

/** Sliding window of a layer in tokens, 0 where it sees all. */
export function layerWindow(config: ModelConfig, layer: number): number {
  return config.slidingWindows?.[layer] ?? 0;
}

/** Rotation of a layer's queries and keys; undefined where there is none. */
export function layerRope(config: ModelConfig, layer: number): RopeConfig | undefined {
  if (config.rotatedLayers?.[layer] === false) return undefined;
  return layerWindow(config, layer) > 0 ? (config.ropeLocal ?? config.rope) : config.rope;
}

/** All weights in order: embeddings, layers, final norm, head. */
export function weightSlots(config: ModelConfig): WeightSlot[] {
  return [
    ...embeddingSlots(config),
    ...Array.from({ length: config.layers }, (_, layer) => layerSlots(config, layer)).flat(),
    ...(config.finalNorm ? normSlots(config, 'norm', config.hiddenSize, 'hidden') : []),
    ...(config.finalNorm && config.multiway ? normSlots(config, 'language.norm', config.hiddenSize, 'hidden') : []),
    ...headSlots(config),
  ];
}

function embeddingSlots(config: ModelConfig): WeightSlot[] {
  const { hiddenSize: d, patches } = config;
  const slots: WeightSlot[] = [];
  if (patches) {
    const pixels = patches.patchSize[0] * patches.patchSize[1] * patches.channels;
    slots.push(...linearSlots('embeddings.patch', [pixels, d], ['fixed', 'hidden'], true));
    slots.push(slot('embeddings.class', [d], ['hidden'], 'embedding'));
    if (patches.prefixTokens > 1) slots.push(slot('embeddings.distillation', [d], ['hidden'], 'embedding'));
  }
  if (!patches || config.multiway) {
    slots.push(slot('embeddings.token.weight', [config.vocabSize, d], ['fixed', 'hidden'], 'embedding'));
  }
  if (config.positionRows > 0) {
    slots.push(slot('embeddings.position.weight', [config.positionRows, d], ['fixed', 'hidden'], 'embedding'));
  }
  if (config.multiway) {
    const rows = config.textPositionRows ?? 0;
    slots.push(slot('language.position.weight', [rows, d], ['fixed', 'hidden'], 'embedding'));
  }
  if (config.typeVocabSize > 0) {
    slots.push(slot('embeddings.type.weight', [config.typeVocabSize, d], ['fixed', 'hidden'], 'embedding'));
  }
  if (config.embeddingNorm) slots.push(...normSlots(config, 'embeddings.norm', d, 'hidden'));
  const { relativeAttention: relative } = config;
  if (relative) slots.push(slot('relative.weight', [2 * relative.span, d], ['fixed', 'hidden'], 'embedding'));
  if (relative?.norm) slots.push(...normSlots(config, 'relative.norm', d, 'hidden'));
  return slots;
}

/** A weight's name in the language branch of a multiway model. */
export function languageName(name: string): string {
  return name.replace(/^(layers\.\d+\.)?/, '$1language.');
}

function layerSlots(config: ModelConfig, layer: number): WeightSlot[] {
  const slots = branchSlots(config, layer);
  if (!config.multiway) return slots;
  return [...slots, ...slots.map((entry) => ({ ...entry, name: languageName(entry.name) }))];
}

/** Of one branch of a layer; a block of no width was left out, with its norms. */
function branchSlots(config: ModelConfig, layer: number): WeightSlot[] {
  const slots = [
    ...(layerHeads(config, layer) > 0 ? attentionSlots(config, layer) : []),
    ...(layerFfn(config, layer) > 0 ? ffnSlots(config, layer) : []),
  ];
  return slots.map((entry) => ({ ...entry, layer }));
}

function attentionSlots(config: ModelConfig, layer: number): WeightSlot[] {
  const { hiddenSize: d, headSize, bias } = config;
  const heads = layerHeads(config, layer) * headSize;
  const kv = layerKvHeads(config, layer) * headSize;
  const at = `layers.${layer}.attention`;
  const slots = [
    ...(config.skipsFirstNorm && layer === 0 ? [] : blockNorms(config, at, 'norm')),
    ...linearSlots(`${at}.query`, [d, heads], ['hidden', 'query-heads'], bias.qkv),
    ...linearSlots(`${at}.key`, [d, kv], ['hidden', 'kv-heads'], bias.key),
    ...linearSlots(`${at}.value`, [d, kv], ['hidden', 'kv-heads'], bias.qkv),
  ];
  const { relativeAttention: relative } = config;
  if (relative && !relative.sharedProjections) {
    if (relative.contentToPosition) {
      slots.push(...linearSlots(`${at}.positionKey`, [d, kv], ['hidden', 'kv-heads'], bias.key));
    }
    if (relative.positionToContent) {
      slots.push(...linearSlots(`${at}.positionQuery`, [d, heads], ['hidden', 'query-heads'], bias.qkv));
    }
  }
  if (config.qkNorm) {
    const all = config.qkNormSpan === 'all-heads';
    const norm = (name: string, width: number, axis: ElasticAxis) =>
      all
        ? slot(`${at}.${name}.weight`, [width], [axis], 'norm')
        : slot(`${at}.${name}.weight`, [headSize], ['fixed'], 'norm');
    slots.push(norm('queryNorm', heads, 'query-heads'), norm('keyNorm', kv, 'kv-heads'));
  }
  if (config.subNorm) slots.push(...normSlots(config, `${at}.subNorm`, heads, 'query-heads'));
  slots.push(...linearSlots(`${at}.output`, [heads, d], ['query-heads', 'hidden'], bias.output));
  return [...slots, ...blockNorms(config, at, 'outputNorm')];
}

function ffnSlots(config: ModelConfig, layer: number): WeightSlot[] {
  const { hiddenSize: d, bias } = config;
  const ffn = layerFfn(config, layer);
  const at = `layers.${layer}.ffn`;
  const slots = blockNorms(config, at, 'norm');
  if (config.gated) slots.push(...linearSlots(`${at}.gate`, [d, ffn], ['hidden', 'ffn'], bias.ffn));
  slots.push(...linearSlots(`${at}.up`, [d, ffn], ['hidden', 'ffn'], bias.ffn));
  if (config.subNorm) slots.push(...normSlots(config, `${at}.subNorm`, ffn, 'ffn'));
  slots.push(...linearSlots(`${at}.down`, [ffn, d], ['ffn', 'hidden'], bias.ffn));
  return [...slots, ...blockNorms(config, at, 'outputNorm')];
}

function blockNorms(config: ModelConfig, at: string, where: 'norm' | 'outputNorm'): WeightSlot[] {
  const { placement } = config.norm;
  const isThere = where === 'norm' ? placement !== 'output' : placement === 'output' || placement === 'sandwich';
  return isThere ? normSlots(config, `${at}.${where}`, config.hiddenSize, 'hidden') : [];
}

function headSlots(config: ModelConfig): WeightSlot[] {
  const { hiddenSize: d, head } = config;
  if (head === 'image-text-retrieval') {
    return [
      slot('head.image.weight', [d, d], ['hidden', 'hidden'], 'head'),
      slot('head.text.weight', [d, d], ['hidden', 'hidden'], 'head'),
      slot('head.logitScale', [], [], 'bias'),
    ];
  }
  const slots: WeightSlot[] = [];
  if (config.poolerNorm) slots.push(...normSlots(config, 'pooler.norm', d, 'hidden'));
  if (config.pooler) slots.push(...linearSlots('pooler', [d, d], ['hidden', 'hidden'], true));
  const isWide = config.headDense === 'wide';
  const [width, wide]: [number, ElasticAxis] = isWide ? [2 * d, 'twice-hidden'] : [d, 'hidden'];
  if (config.headDense !== 'none') {
    slots.push(...linearSlots('head.dense', [d, width], ['hidden', wide], config.headDenseBias ?? true));
  }
  if (config.headDense === 'lm-transform' || config.headDense === 'wide' || config.readoutNorm) {
    slots.push(...normSlots(config, 'head.norm', width, wide));
  }
  const outputs = head === 'causal-lm' || head === 'masked-lm' ? config.vocabSize : config.labels;
  const hasOutputs = head !== 'none' && head !== 'sentence-embedding';
  if (hasOutputs && !config.tiedEmbeddings) {
    slots.push(slot('head.weight', [width, outputs], [wide, 'fixed'], 'head'));
  }
  if (hasOutputs && config.headBias) slots.push(slot('head.bias', [outputs], ['fixed'], 'bias'));
  if (config.readout === 'distilled') {
    slots.push(slot('head.distillation.weight', [d, outputs], ['hidden', 'fixed'], 'head'));
    slots.push(slot('head.distillation.bias', [outputs], ['fixed'], 'bias'));
  }
  return slots;
}

function normSlots(config: ModelConfig, name: string, size: number, axis: ElasticAxis): WeightSlot[] {
  const weight = slot(`${name}.weight`, [size], [axis], 'norm');
  const isPlain = config.norm.kind === 'rms' || config.norm.bias === false;
  return isPlain ? [weight] : [weight, slot(`${name}.bias`, [size], [axis], 'norm')];
}

function linearSlots(name: string, shape: number[], axes: ElasticAxis[], bias: boolean): WeightSlot[] {
  const weight = slot(`${name}.weight`, shape, axes, 'linear');
  if (!bias) return [weight];
  return [weight, slot(`${name}.bias`, [shape[1] as number], [axes[1] as ElasticAxis], 'bias')];
}

function slot(name: string, shape: number[], axes: ElasticAxis[], role: WeightSlot['role']): WeightSlot {
  return { name, shape, axes, role };
}
