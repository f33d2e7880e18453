// What a run leaves behind: out/result.json. Every number in the report and in the headline table comes from here.
import * as v from 'valibot';

const num = v.number();

const subnetwork = v.object({
  layers: num,
  heads: v.array(num),
  ffn: v.array(num),
  /** Multiply-accumulates of one forward pass over the search's sequence length. */
  macs: num,
  parameters: num,
  /** Median milliseconds of that forward pass on this machine. */
  latencyMs: num,
  /** Mean next-token loss (nats) on the validation windows. */
  loss: num,
});

export const resultSchema = v.object({
  finetune: v.object({
    steps: num,
    tokens: num,
    seconds: num,
    /** Full model, validation loss before any training: the pretrained checkpoint. */
    lossBefore: num,
    /** Full model after fine-tuning as a super-network. */
    lossAfter: num,
    history: v.array(v.object({ step: num, loss: num, fullLoss: v.optional(num), subnetLoss: v.optional(num) })),
  }),
  search: v.object({
    evaluations: num,
    hypervolume: num,
    history: v.array(v.object({ evaluations: num, hypervolume: num })),
    trials: v.array(v.object({ latencyMs: num, loss: num, macs: num })),
    front: v.array(subnetwork),
  }),
  chosen: v.object({
    ...subnetwork.entries,
    rule: v.string(),
    /** Loss on windows neither training nor search has seen. */
    reportLoss: num,
    checkpoint: v.string(),
    baseline: v.object({ macs: num, parameters: num, latencyMs: num, lossPretrained: num, lossFineTuned: num, reportLossPretrained: num, reportLossFineTuned: num }),
  }),
  longContext: v.array(
    v.object({
      tokens: num,
      denseMs: num,
      hipMs: num,
      /** Time inside the attention alone, all layers. */
      denseAttentionMs: num,
      hipAttentionMs: num,
      denseTokensPerSecond: num,
      hipTokensPerSecond: num,
      densePpl: num,
      hipPpl: num,
      massRecall: num,
      /** Peak bytes of the attention's own buffers. */
      denseBytes: num,
      hipBytes: num,
      /** Bytes a materialised T×T score matrix of one layer would take. */
      materializedBytes: num,
    }),
  ),
  generation: v.object({ prompt: v.string(), text: v.string(), tokens: num, msPerToken: num }),
  environment: v.record(v.string(), v.unknown()),
});

export type DemoResult = v.InferOutput<typeof resultSchema>;
export type Subnetwork = v.InferOutput<typeof subnetwork>;
export type LongContextRow = DemoResult['longContext'][number];
