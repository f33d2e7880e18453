// RoBERTa (Liu 2019), XLM-RoBERTa, CamemBERT: BERT with positions from padding_idx + 1 and its own heads.
import { bertEncoderNames, maskedBias, readBertConfig } from './bert.ts';
import type { Family } from './family.ts';
import { headKind, numberField } from './hf-config.ts';

/** RoBERTa. */
export const roberta: Family = {
  name: 'roberta',
  modelTypes: ['roberta', 'xlm-roberta', 'camembert'],
  basePrefix: 'roberta.',
  configKeys: { layers: 'num_hidden_layers', heads: 'num_attention_heads', ffn: 'intermediate_size' },
  readConfig: (raw) => {
    const head = headKind(raw, 'roberta', {
      MaskedLM: 'masked-lm',
      SequenceClassification: 'sequence-classification',
      TokenClassification: 'token-classification',
    });
    const padding = numberField(raw, 'pad_token_id', 1);
    const config = readBertConfig(raw, 'roberta', head);
    return {
      ...config,
      padTokenId: padding,
      positionOffset: padding + 1,
      maxPositions: config.positionRows - padding - 1,
      positionsSkipPadding: true,
      // The LM head's transform has the exact gelu whatever hidden_act says.
      headDense: head === 'sequence-classification' ? 'tanh' : config.headDense,
      headActivation: 'gelu',
    };
  },
  names: (config) => {
    const classifier = config.head === 'sequence-classification';
    return {
      ...bertEncoderNames('roberta'),
      'head.dense.weight': classifier ? 'classifier.dense.weight' : 'lm_head.dense.weight',
      'head.dense.bias': classifier ? 'classifier.dense.bias' : 'lm_head.dense.bias',
      'head.norm.weight': 'lm_head.layer_norm.weight',
      'head.norm.bias': 'lm_head.layer_norm.bias',
      'head.weight':
        { 'masked-lm': 'lm_head.decoder.weight', 'sequence-classification': 'classifier.out_proj.weight' }[
          config.head as string
        ] ?? 'classifier.weight',
      'head.bias':
        { 'masked-lm': maskedBias('lm_head', config), 'sequence-classification': 'classifier.out_proj.bias' }[
          config.head as string
        ] ?? 'classifier.bias',
    };
  },
};
