// A result as a run leaves it, with numbers that can be told apart.
import type { DemoResult } from '../../src/pipeline/result.ts';

const point = { layers: 2, heads: [4, 2], ffn: [96, 48], macs: 2e9, parameters: 3e6, latencyMs: 50, loss: 3.4 };
export const row = (tokens: number): DemoResult['longContext'][number] => ({
  tokens,
  denseMs: tokens / 4,
  hipMs: tokens / 16,
  denseAttentionMs: tokens / 5,
  hipAttentionMs: tokens / 40,
  denseTokensPerSecond: 4000,
  hipTokensPerSecond: 16_000,
  densePpl: 31.25,
  hipPpl: 31.5,
  massRecall: 0.97,
  denseBytes: 3 * 2 ** 20,
  hipBytes: 4 * 2 ** 20,
  materializedBytes: 4 * tokens * tokens,
});
const passKey = (
  name: string,
  digits: string,
  distance: number,
): NonNullable<DemoResult['passKeys']>['keys'][number] => ({
  name,
  digits,
  distance,
  sentence: ` The pass key for ${name} is ${digits}. Remember it.`,
  before: 'He went <home>.',
  after: ' The sea was calm.',
  question: ` What is the pass key for ${name}? The pass key for ${name} is`,
});
/** Everything a run can find. */
export const sampleResult: DemoResult = {
  finetune: {
    steps: 3,
    tokens: 3072,
    seconds: 12,
    lossBefore: 6.5,
    lossAfter: 3.1,
    history: [
      { step: 1, objective: 6, loss: 6.4 },
      { step: 2, objective: 5 },
      { step: 3, objective: 4, loss: 3.5, validation: 3.1 },
    ],
  },
  search: {
    evaluations: 3,
    hypervolume: 12.5,
    seconds: 9,
    cost: 'latency',
    history: [{ evaluations: 3, hypervolume: 12.5 }],
    trials: [
      { latencyMs: 100, macs: 4e9, loss: 3.1 },
      { latencyMs: 50, macs: 2e9, loss: 3.4 },
      { latencyMs: 90, macs: 3e9, loss: 3.9 },
    ],
    front: [point, { ...point, layers: 4, latencyMs: 100, macs: 4e9, loss: 3.1 }],
  },
  chosen: {
    ...point,
    rule: 'the knee of the front',
    reportLoss: 3.5,
    checkpoint: 'model',
    baseline: {
      macs: 4e9,
      parameters: 6e6,
      latencyMs: 100,
      lossPretrained: 6.5,
      lossFineTuned: 3.1,
      reportLossPretrained: 6.6,
      reportLossFineTuned: 3.2,
    },
  },
  longContext: [row(4096), row(8192)],
  generation: { prompt: 'const a = <b>', text: '" & more', tokens: 4, contextTokens: 8193, msPerToken: 20 },
  passKeys: {
    text: 'a novel',
    tokens: 8000,
    keys: [passKey('river fern', '48210', 7600), passKey('amber owl', '13579', 3000)],
    readers: [
      { model: 'chosen', dense: { ms: 900, answers: ['the', 'sea'] }, hip: { ms: 400, answers: ['a', 'sea'] } },
      {
        model: 'pretrained',
        dense: { ms: 1700, answers: ['48210', '13579'] },
        hip: { ms: 800, answers: ['48210', '13570'] },
      },
    ],
  },
  environment: {
    cpu: 'test',
    text: 'notes.md',
    options: { seed: 3, model: '/home/somebody/a model', text: ['/srv/texts/notes.md', 'C:\\Users\\me\\diary.md'] },
  },
};

export const sampleMask =
  '<svg xmlns="http://www.w3.org/2000/svg" width="512" height="512" viewBox="0 0 1 1" id="the-mask"><rect width="1" height="1"/></svg>';
