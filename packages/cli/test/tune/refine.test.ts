// The chosen sub-network by itself: what least squares and fine-tuning on make of it is kept where the search's data says so.
import { join } from 'node:path';
import { fineTune, fullSubnet, loadCheckpoint, uniformSubnet, type Dataset } from '@instatune/supernet';
import * as tf from '@tensorflow/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { textTask, type TaskData } from '../../src/pipeline.ts';
import { Journal } from '../../src/run/journal.ts';
import { refine } from '../../src/run/refine.ts';
import { memoryRun } from '../../src/run/store.ts';
import { headConfig, readCard } from '../../src/steps/head.ts';
import { qualityOf } from '../../src/steps/quality.ts';
import { resolveSettings, type TuneSettings } from '../../src/steps/settings.ts';
import type { TuneProgress } from '../../src/steps/stages.ts';
import { newFolder, reviews, tinyBert } from '../helpers/tiny.ts';

const keys = { load: 'l', train: 't', search: 's' };

/** A network that learnt the task as a whole only: what is cut out of it is bad, and there is something to make up for. */
async function wholeNetwork() {
  const folder = await tinyBert(join(newFolder(), 'bert'));
  const { tokenizer } = await loadCheckpoint(folder);
  const data = await textTask(reviews(200), tokenizer!, { seed: 1 });
  const { model } = await loadCheckpoint(folder, {
    config: headConfig(await readCard(folder), data.task, data.classes, data.problem),
    newHeadSeed: 1,
  });
  await fineTune(model, data.train, { strategy: 'plain', steps: 60, batchSize: 16, learningRate: 0.01, seed: 1 });
  return { model, data, subnet: uniformSubnet(model.space, 3, 2, 16) };
}

describe('refine', () => {
  let given: Awaited<ReturnType<typeof wholeNetwork>>;
  const said: TuneProgress[] = [];
  beforeAll(async () => {
    await tf.setBackend('cpu');
    tf.enableProdMode();
    given = await wholeNetwork();
  });

  async function refined(
    settings: Partial<TuneSettings>,
    { store, validation = given.data.validation }: { readonly validation?: Dataset; readonly store?: Journal } = {},
  ) {
    const { model, subnet } = given;
    const data: TaskData = { ...given.data, validation };
    const journal = store ?? new Journal(memoryRun(), (progress) => said.push(progress));
    if (!store) {
      await journal.open(keys, []);
      await journal.note({ chosen: { key: 'c', genes: [], number: 0 } });
    }
    const resolved = resolveSettings({ budget: 'macs <= 1x', tuneSteps: 0, ...settings }, data, 16);
    const before = tf.memory().numTensors;
    const {
      model: small,
      values,
      history,
    } = await refine(journal, { data, settings: resolved, model, subnet, signal: undefined });
    const own = await qualityOf(small, data.validation, data);
    small.dispose();
    expect(tf.memory().numTensors).toBe(before);
    expect(own['loss']).toBeCloseTo(values['loss'], 6);
    return { values, history, record: journal.record, journal };
  }

  it('is fitted again to what the full network computes, and says what that gave', async () => {
    const plain = await refined({ reconstruct: false });
    expect(plain.record.reconstructed).toBeUndefined();
    const { values, record, history } = await refined({});
    const { kept, before, after } = record.reconstructed!;
    expect(kept).toBe(true);
    expect(before['loss']).toBeCloseTo(plain.values['loss'], 6);
    expect(after['loss']).toBeLessThan(before['loss']!);
    expect(values['loss']).toBe(after['loss']);
    expect([history, record.refined!.kept]).toEqual([[], false]);
    expect(said.some(({ stage, note }) => stage === 'refine' && note === 'fitting projections again')).toBe(true);
  });

  it('stays as it is cut where the fit is worse, and is not fitted again when the run goes on', async () => {
    // What the full network says is wrong here, so that coming closer to it is no gain.
    const { validation } = given.data;
    const turned: Dataset = {
      ...validation,
      batch: async (indices) => {
        const batch = await validation.batch(indices);
        return { ...batch, labels: batch.labels.map((label) => 1 - label) };
      },
    };
    const { values, record, journal } = await refined({}, { validation: turned });
    const { kept, before, after } = record.reconstructed!;
    expect(kept).toBe(false);
    expect(after['loss']).toBeGreaterThan(before['loss']!);
    expect(values['loss']).toBe(before['loss']);
    said.length = 0;
    const again = await refined({}, { validation: turned, store: journal });
    expect(said).toEqual([]);
    expect(again.values['loss']).toBeCloseTo(before['loss']!, 6);
  });

  it('is trained on from the fit, and kept where that is as good', async () => {
    const { values, record, history } = await refined({ tuneSteps: 8, learningRate: 0.003 });
    expect(history).toHaveLength(8);
    expect(record.refined!.kept).toBe(true);
    expect(values['loss']).toBeLessThanOrEqual(record.reconstructed!.after['loss']!);
    const worse = await refined({ tuneSteps: 3, learningRate: 3 });
    expect(worse.record.refined!.kept).toBe(false);
    expect(worse.values['loss']).toBe(worse.record.reconstructed!.after['loss']);
  });

  it('of the full network nothing is fitted', async () => {
    const { model } = given;
    const journal = new Journal(memoryRun(), undefined);
    await journal.open(keys, []);
    await journal.note({ chosen: { key: 'full', genes: [], number: 0 } });
    const settings = resolveSettings({ budget: 'macs <= 1x', tuneSteps: 0 }, given.data, 16);
    const subnet = fullSubnet(model.space);
    const { model: own } = await refine(journal, { data: given.data, settings, model, subnet, signal: undefined });
    own.dispose();
    expect(journal.record.reconstructed).toBeUndefined();
  });
});
