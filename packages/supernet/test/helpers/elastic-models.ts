// Tiny models of every family with every axis elastic: layers, heads, FFN, hidden size, query heads of a group, blocks left out.
import type { SpaceChoices } from '../../src/elastic/types.ts';
import type { TransformerModel } from '../../src/model/transformer.ts';
import {
  tinyBeit3,
  tinyBert,
  tinyDeberta,
  tinyDistilbert,
  tinyGpt2,
  tinyLlama,
  tinyModernbert,
  tinyMultiway,
  tinyQwen,
  tinyRoberta,
  tinyVit,
} from './tiny.ts';

/** Every axis of a tiny model at once. */
export const CHOICES: SpaceChoices = {
  layers: [1, 2],
  ffn: [1, 7, 16, 24],
  hidden: [3, 8, 12, 16],
  skip: { attention: [0, 1], ffn: [0, 1] },
};
/** The same, and query heads of each key/value head. */
export const GROUPED: SpaceChoices = { ...CHOICES, heads: [2, 4], groupHeads: [1, 2] };
/** The same, and heads one by one. */
export const EACH: SpaceChoices = { ...CHOICES, heads: [1, 2, 3, 4] };

/** Tiny models of every family and head, and the choices of their axes. */
export const ELASTIC_MODELS: Record<string, [() => TransformerModel, SpaceChoices]> = {
  llama: [() => tinyLlama(1), GROUPED],
  'llama untied': [() => tinyLlama(2, { tie_word_embeddings: false, attention_bias: true, mlp_bias: true }), GROUPED],
  'llama classifier': [
    () => tinyLlama(2, { architectures: ['LlamaForSequenceClassification'], pad_token_id: 0 }),
    GROUPED,
  ],
  'qwen2 with a window': [() => tinyQwen(), GROUPED],
  qwen3: [() => tinyLlama(3, { model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'] }), GROUPED],
  phi3: [() => tinyLlama(3, { model_type: 'phi3', architectures: ['Phi3ForCausalLM'], pad_token_id: 0 }), GROUPED],
  gpt2: [() => tinyGpt2(), EACH],
  bert: [() => tinyBert(), EACH],
  'bert encoder': [() => tinyBert(1, { architectures: ['BertModel'] }), EACH],
  'bert masked-lm': [() => tinyBert(1, { architectures: ['BertForMaskedLM'] }), EACH],
  roberta: [() => tinyRoberta(), EACH],
  'roberta tokens': [() => tinyRoberta(1, { architectures: ['RobertaForTokenClassification'] }), EACH],
  vit: [() => tinyVit(), EACH],
  deit: [() => tinyVit(1, { model_type: 'deit', architectures: ['DeiTForImageClassificationWithTeacher'] }), EACH],
  beit3: [() => tinyBeit3(), EACH],
  'beit3 questions': [() => tinyMultiway(1, { architectures: ['BEiT3ForVisualQuestionAnswering'] }), EACH],
  'beit3 retrieval': [() => tinyMultiway(1, { architectures: ['BEiT3ForRetrieval'] }), EACH],
  distilbert: [() => tinyDistilbert(), EACH],
  'modernbert masked-lm': [() => tinyModernbert(), EACH],
  'modernbert classifier': [() => tinyModernbert(1, { architectures: ['ModernBertForSequenceClassification'] }), EACH],
  deberta: [() => tinyDeberta(), EACH],
  'deberta with projections of positions': [() => tinyDeberta(1, { share_att_key: false }), EACH],
};
