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
    ...(config.finalNorm ? normSlots(config, 'norm', config.hiddenSize, 'fixed') : []),
    ...(config.finalNorm && config.multiway ? normSlots(config, 'language.norm', config.hiddenSize, 'fixed') : []),
    ...headSlots(config),
  ];
}

function embeddingSlots(config: ModelConfig): WeightSlot[] {
  const { hiddenSize: d, patches } = config;
  const slots: WeightSlot[] = [];
  if (patches) {
    const pixels = patches.patchSize[0] * patches.patchSize[1] * patches.channels;
    slots.push(...linearSlots('embeddings.patch', [pixels, d], ['fixed', 'fixed'], true));
    slots.push(slot('embeddings.class', [d], ['fixed'], 'embedding'));
    if (patches.prefixTokens > 1) slots.push(slot('embeddings.distillation', [d], ['fixed'], 'embedding'));
  }
  if (!patches || config.multiway) {
    slots.push(slot('embeddings.token.weight', [config.vocabSize, d], ['fixed', 'fixed'], 'embedding'));
  }
  if (config.positionRows > 0) {
    slots.push(slot('embeddings.position.weight', [config.positionRows, d], ['fixed', 'fixed'], 'embedding'));
  }
  if (config.multiway) {
    const rows = config.textPositionRows ?? 0;
    slots.push(slot('language.position.weight', [rows, d], ['fixed', 'fixed'], 'embedding'));
  }
  if (config.typeVocabSize > 0) {
    slots.push(slot('embeddings.type.weight', [config.typeVocabSize, d], ['fixed', 'fixed'], 'embedding'));
  }
  if (config.embeddingNorm) slots.push(...normSlots(config, 'embeddings.norm', d, 'fixed'));
  const { relativeAttention: relative } = config;
  if (relative) slots.push(slot('relative.weight', [2 * relative.span, d], ['fixed', 'fixed'], 'embedding'));
  if (relative?.norm) slots.push(...normSlots(config, 'relative.norm', d, 'fixed'));
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

function branchSlots(config: ModelConfig, layer: number): WeightSlot[] {
  const { hiddenSize: d, headSize, bias } = config;
  const heads = layerHeads(config, layer) * headSize;
  const kv = heads / headGroup(config);
  const ffn = layerFfn(config, layer);
  const at = `layers.${layer}`;
  const { placement } = config.norm;
  const norms = (block: 'attention' | 'ffn', where: 'norm' | 'outputNorm') =>
    (where === 'norm' ? placement !== 'output' : placement === 'output' || placement === 'sandwich')
      ? normSlots(config, `${at}.${block}.${where}`, d, 'fixed')
      : [];
  const slots = [
    ...(config.skipsFirstNorm && layer === 0 ? [] : norms('attention', 'norm')),
    ...linearSlots(`${at}.attention.query`, [d, heads], ['fixed', 'query-heads'], bias.qkv),
    ...linearSlots(`${at}.attention.key`, [d, kv], ['fixed', 'kv-heads'], bias.key),
    ...linearSlots(`${at}.attention.value`, [d, kv], ['fixed', 'kv-heads'], bias.qkv),
  ];
  const { relativeAttention: relative } = config;
  if (relative && !relative.sharedProjections) {
    if (relative.contentToPosition) {
      slots.push(...linearSlots(`${at}.attention.positionKey`, [d, kv], ['fixed', 'kv-heads'], bias.key));
    }
    if (relative.positionToContent) {
      slots.push(...linearSlots(`${at}.attention.positionQuery`, [d, heads], ['fixed', 'query-heads'], bias.qkv));
    }
  }
  if (config.qkNorm) {
    const all = config.qkNormSpan === 'all-heads';
    const norm = (name: string, width: number, axis: ElasticAxis) =>
      all
        ? slot(`${at}.attention.${name}.weight`, [width], [axis], 'norm')
        : slot(`${at}.attention.${name}.weight`, [headSize], ['fixed'], 'norm');
    slots.push(norm('queryNorm', heads, 'query-heads'), norm('keyNorm', kv, 'kv-heads'));
  }
  if (config.subNorm) slots.push(...normSlots(config, `${at}.attention.subNorm`, heads, 'query-heads'));
  slots.push(...linearSlots(`${at}.attention.output`, [heads, d], ['query-heads', 'fixed'], bias.output));
  slots.push(...norms('attention', 'outputNorm'), ...norms('ffn', 'norm'));
  if (config.gated) slots.push(...linearSlots(`${at}.ffn.gate`, [d, ffn], ['fixed', 'ffn'], bias.ffn));
  slots.push(...linearSlots(`${at}.ffn.up`, [d, ffn], ['fixed', 'ffn'], bias.ffn));
  if (config.subNorm) slots.push(...normSlots(config, `${at}.ffn.subNorm`, ffn, 'ffn'));
  slots.push(...linearSlots(`${at}.ffn.down`, [ffn, d], ['ffn', 'fixed'], bias.ffn), ...norms('ffn', 'outputNorm'));
  return slots.map((entry) => ({ ...entry, layer }));
}

function headSlots(config: ModelConfig): WeightSlot[] {
  const { hiddenSize: d, head } = config;
  if (head === 'image-text-retrieval') {
    return [
      slot('head.image.weight', [d, d], ['fixed', 'fixed'], 'head'),
      slot('head.text.weight', [d, d], ['fixed', 'fixed'], 'head'),
      slot('head.logitScale', [], [], 'bias'),
    ];
  }
  const slots: WeightSlot[] = [];
  if (config.poolerNorm) slots.push(...normSlots(config, 'pooler.norm', d, 'fixed'));
  if (config.pooler) slots.push(...linearSlots('pooler', [d, d], ['fixed', 'fixed'], true));
  const width = config.headDense === 'wide' ? 2 * d : d;
  if (config.headDense !== 'none') {
    slots.push(...linearSlots('head.dense', [d, width], ['fixed', 'fixed'], config.headDenseBias ?? true));
  }
  if (config.headDense === 'lm-transform' || config.headDense === 'wide' || config.readoutNorm) {
    slots.push(...normSlots(config, 'head.norm', width, 'fixed'));
  }
  const outputs = head === 'causal-lm' || head === 'masked-lm' ? config.vocabSize : config.labels;
  const hasOutputs = head !== 'none' && head !== 'sentence-embedding';
  if (hasOutputs && !config.tiedEmbeddings) {
    slots.push(slot('head.weight', [width, outputs], ['fixed', 'fixed'], 'head'));
  }
  if (hasOutputs && config.headBias) slots.push(slot('head.bias', [outputs], ['fixed'], 'bias'));
  if (config.readout === 'distilled') {
    slots.push(slot('head.distillation.weight', [d, outputs], ['fixed', 'fixed'], 'head'));
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
