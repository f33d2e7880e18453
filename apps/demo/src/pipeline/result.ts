// What a run leaves behind: out/result.json. Every number in the report and in the headline table comes from here.
import * as v from 'valibot';

const num = v.number();

const subnetworkSchema = v.object({
  layers: num,
  /** Query heads of each layer. */
  heads: v.array(num),
  /** FFN units of each layer. */
  ffn: v.array(num),
  /** Multiply-accumulates of one forward pass over `environment.latencyTokens` tokens. */
  macs: num,
  parameters: num,
  /** Milliseconds of that forward pass on this machine: the full model's (`baseline.latencyMs`) times the share of it, timed in turn. */
  latencyMs: num,
  /** Mean next-token loss (nats) on the validation windows. */
  loss: num,
});

export const curveSchema = v.object({
  step: num,
  /** The InstaTune objective: the sum over the step's networks. */
  objective: num,
  /** Cross-entropy of the full network on the step's batch, nats. */
  loss: v.optional(num),
  /** Loss of the full network on the validation windows, where it was measured. */
  validation: v.optional(num),
});

export const finetuneSchema = v.object({
  steps: num,
  /** Training tokens seen. */
  tokens: num,
  seconds: num,
  /** Full model, validation loss before any training: the pretrained checkpoint. */
  lossBefore: num,
  /** Full model after fine-tuning as a super-network. */
  lossAfter: num,
  history: v.array(curveSchema),
});

export const searchSchema = v.object({
  evaluations: num,
  hypervolume: num,
  seconds: num,
  /** What was traded against loss. */
  cost: v.picklist(['latency', 'macs']),
  history: v.array(v.object({ evaluations: num, hypervolume: num })),
  trials: v.array(v.object({ latencyMs: v.optional(num), macs: num, loss: num })),
  front: v.array(subnetworkSchema),
});

export const chosenSchema = v.object({
  ...subnetworkSchema.entries,
  /** How it was picked, in words. */
  rule: v.string(),
  /** Loss on windows that neither training nor search has seen. */
  reportLoss: num,
  /** Folder of the standalone checkpoint, relative to this result. */
  checkpoint: v.string(),
  baseline: v.object({
    macs: num,
    parameters: num,
    latencyMs: num,
    lossPretrained: num,
    lossFineTuned: num,
    reportLossPretrained: num,
    reportLossFineTuned: num,
  }),
});

export const rowSchema = v.object({
  tokens: num,
  /** Prefill of that many tokens, all layers, without logits. */
  denseMs: num,
  hipMs: num,
  /** Of it, inside attention; absent where the backend computes asynchronously (webgpu). */
  denseAttentionMs: v.optional(num),
  hipAttentionMs: v.optional(num),
  denseTokensPerSecond: num,
  hipTokensPerSecond: num,
  /** exp of the mean next-token loss over all the tokens. */
  densePpl: num,
  hipPpl: num,
  /** Share of dense attention's probability mass on the keys HiP attends to; mean over layers, heads and sampled rows. */
  massRecall: num,
  /** Peak bytes: tfjs tensors (weights, KV cache, activations) and the attention kernels' own memory. */
  denseBytes: num,
  hipBytes: num,
  /** What one layer's T×T score matrices would take on top, were they materialised. */
  materializedBytes: num,
});

export const generationSchema = v.object({
  prompt: v.string(),
  text: v.string(),
  tokens: num,
  /** Tokens before the first generated one. */
  contextTokens: num,
  msPerToken: num,
});

const answersSchema = v.object({
  /** Prefill of the text. */
  ms: num,
  /** What the model said, question by question: the digits, else its words. */
  answers: v.array(v.string()),
});

export const readerSchema = v.object({
  model: v.picklist(['chosen', 'pretrained']),
  dense: answersSchema,
  hip: answersSchema,
});

export const passKeysSchema = v.object({
  /** What the keys are hidden in. */
  text: v.string(),
  tokens: num,
  keys: v.array(
    v.object({
      /** What the key is for. */
      name: v.string(),
      digits: v.string(),
      /** The sentence in the text, and what stands around it. */
      sentence: v.string(),
      before: v.string(),
      after: v.string(),
      question: v.string(),
      /** Tokens between the sentence and the end of the text. */
      distance: num,
    }),
  ),
  /** The chosen sub-network; where it does not know every key with dense attention, the pretrained full model too. */
  readers: v.array(readerSchema),
});

export const exportedSchema = v.object({
  /** Folder of the ONNX model, relative to this result; transformers.js loads it as it is. */
  folder: v.string(),
  bytes: num,
  /** Tokens it was run over, the last few one by one. */
  tokens: num,
  /** Largest difference of a logit to the model's own. */
  difference: num,
  seconds: num,
});

export const resultSchema = v.object({
  finetune: finetuneSchema,
  search: searchSchema,
  chosen: chosenSchema,
  longContext: v.array(rowSchema),
  generation: generationSchema,
  /** Absent where the longest length is too short to hide one. */
  passKeys: v.optional(passKeysSchema),
  /** The sub-network on onnxruntime, HiP between its pieces; absent in results of before. */
  exported: v.optional(exportedSchema),
  environment: v.record(v.string(), v.unknown()),
});

export type DemoResult = v.InferOutput<typeof resultSchema>;
export type Subnetwork = v.InferOutput<typeof subnetworkSchema>;
export type CurvePoint = v.InferOutput<typeof curveSchema>;
export type Finetune = v.InferOutput<typeof finetuneSchema>;
export type Search = v.InferOutput<typeof searchSchema>;
export type Chosen = v.InferOutput<typeof chosenSchema>;
export type LongContextRow = v.InferOutput<typeof rowSchema>;
export type Answers = v.InferOutput<typeof answersSchema>;
export type Reader = v.InferOutput<typeof readerSchema>;
export type PassKeys = v.InferOutput<typeof passKeysSchema>;
export type Exported = v.InferOutput<typeof exportedSchema>;
export type Generation = v.InferOutput<typeof generationSchema>;
