// A sentence encoder distilled without labels: MACs against what becomes of similarities and neighbours, on a book it never saw.
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { integer } from '@instatune/nsga2';
import { runSearch } from '@instatune/search';
import {
  compareEmbeddings,
  countMacs,
  countParameters,
  deriveSeed,
  embed,
  extractModel,
  fineTune,
  fullSubnet,
  geneCardinalities,
  genesToSubnet,
  loadCheckpoint,
  reconstructSubnet,
  reorderByImportance,
  SeededRandom,
  shuffledIndices,
  subnetToGenes,
  TeacherCache,
  textDataset,
  uniformSubnet,
  usedGenes,
  type Dataset,
  type ElasticModel,
  type Precision,
  type SpaceChoices,
  type SubnetConfig,
} from '@instatune/supernet';
import { withCalibration } from './calibration.ts';
import { recordingLog, recordingSummary } from './recording-log.ts';
import { round } from './rows.ts';
import { endedBy, trainWithin } from './within.ts';

export interface EmbeddingRecipe {
  /** Steps of the super-network; and of each chosen sub-network by itself afterwards. */
  readonly steps: number;
  readonly tune: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Factor on the rate of the super-network. */
  readonly superRate: number;
  readonly evaluations: number;
  /** MACs of the chosen sub-networks, at most, as shares of the full network's. */
  readonly shares: readonly number[];
  /** Layers of the prefixes that are distilled as long as a sub-network was, super-network and all. */
  readonly prefixes: readonly number[];
  readonly space: SpaceChoices;
  /** Factor on the difference of hidden states, and on the KL of similarities beside 1 − cos. */
  readonly hiddenStates: number;
  readonly similarities: number;
  /** Layers, heads and FFN units of sub-networks that are distilled as they are cut, without a super-network; no search then. */
  readonly direct?: readonly { readonly layers: number; readonly heads: number; readonly ffn: number }[];
  /** Texts made of pieces of the training sentences, beside them. */
  readonly pieces: number;
  /** Whether networks that are trained on are reported before that, too: tens of seconds each. @defaultValue true */
  readonly reportsAll?: boolean;
  /** Whether sub-networks start with output projections fitted anew (`reconstructSubnet`). @defaultValue true */
  readonly reconstruct?: boolean;
  /** Texts that they are fitted on. @defaultValue 2048 */
  readonly calibration?: number;
  /** Whether a training's moving average of weights is what it leaves, its decay. @defaultValue none */
  readonly average?: number;
  /** Texts of each dataset, fewer for rehearsals. @defaultValue all */
  readonly texts?: number;
  readonly precision?: Precision;
}

/** Tokens that MACs are stated for, about a sentence's. */
const TOKENS = 32;
const HELD_OUT = 1000;
/** Seconds that are left for the scores after the last training. */
const AT_THE_END = 75;

// Without the KL of similarities, with hidden states and at a lower rate, 1,500 steps of the same sub-network kept .67 of the neighbours, with
// it .57 (known-models.md). Pieces of sentences, some words of them others, show the teacher more than one book does.
export const EMBEDDINGS: EmbeddingRecipe = {
  steps: 400,
  tune: 2000,
  batchSize: 128,
  learningRate: 3e-4,
  superRate: 1,
  evaluations: 50,
  shares: [0.75, 0.6, 0.49, 0.4],
  prefixes: [3],
  hiddenStates: 5,
  similarities: 0,
  pieces: 60_000,
  space: { layers: [3, 4, 5, 6], heads: [6, 8, 10, 12], ffn: [384, 576, 768, 1152, 1536], hidden: [384] },
};

export interface EmbeddingStudyOptions {
  readonly shared: string;
  readonly seed: number;
  readonly recipe: EmbeddingRecipe;
  readonly emit: (row: Record<string, unknown>) => void;
  readonly log: (line: string) => void;
  readonly signal: AbortSignal;
  /** Unix time in milliseconds by which all must have ended: trainings are made as long as they fit. @defaultValue never */
  readonly deadline?: number;
  /** Receives the chosen sub-networks as they are done. */
  readonly onModel?: (name: string, model: ElasticModel) => Promise<void>;
}

interface Candidate {
  readonly subnet: SubnetConfig;
  readonly macs: number;
  readonly loss: number;
}

/** Runs the study. */
export async function studyEmbeddings(options: EmbeddingStudyOptions): Promise<void> {
  const { shared, seed, recipe, emit, log, signal, onModel } = options;
  const { precision } = recipe;
  const folder = `${shared}/models/minilm-l6`;
  const { model: teacher, tokenizer } = await loadCheckpoint(folder);
  const datasetOf = (texts: readonly string[]) =>
    textDataset(texts, tokenizer!, { maxTokens: 64, padToMultipleOf: tf.getBackend() === 'webgpu' ? 16 : 8 });
  const book = (name: string) =>
    sentencesOf(readFileSync(`${shared}/data/books/${name}.txt`, 'utf8')).slice(0, recipe.texts);
  const own = book('leo-tolstoy_war-and-peace_louise-maude_aylmer-maude');
  const order = shuffledIndices(own.length, new SeededRandom(deriveSeed(seed, 17)));
  const texts = Array.from(order, (index) => own[index]!);
  const held = Math.min(HELD_OUT, Math.floor(texts.length / 3));
  const [search, train] = [
    datasetOf(texts.slice(0, held)),
    datasetOf([...texts.slice(held), ...piecesOf(texts.slice(held), wordsOf(folder), recipe.pieces, seed)]),
  ];
  const report = datasetOf(book('herman-melville_moby-dick'));
  log(`embeddings: ${train.length} training, ${search.length} search, ${report.length} reported sentences`);
  const batchSize = 256;
  const references = {
    search: await embed(teacher, search, { batchSize }),
    report: await embed(teacher, report, { batchSize }),
  };
  const answers = new TeacherCache(teacher);
  const runTraining = async (
    what: string,
    model: ElasticModel,
    steps: number,
    rate: number,
    strategy: 'instatune' | 'kd-only',
    stop: AbortSignal,
    onStep: (step: number) => void,
  ) => {
    let last = performance.now();
    const { recording } = await fineTune(model, train, {
      strategy,
      alpha: 0,
      gamma: 1,
      hiddenStates: recipe.hiddenStates,
      similarities: recipe.similarities,
      teacher: answers,
      steps,
      batchSize: recipe.batchSize,
      learningRate: recipe.learningRate * rate,
      schedule: { warmup: 0.05 },
      ...(recipe.average !== undefined && { average: { decay: recipe.average } }),
      seed,
      signal: stop,
      precision,
      recording: recordingLog(`embeddings: ${what}`, log),
      onProgress: ({ step, loss, eta }) => {
        onStep(step);
        if (performance.now() - last < 10_000) return;
        last = performance.now();
        log(`embeddings: ${what} ${step}/${steps} loss ${loss.toFixed(4)} eta ${eta.toFixed(0)} s`);
      },
    });
    if (recording) log(`embeddings: ${what} ${recordingSummary(recording)}`);
  };
  /** Distils for so many steps, or as many as fit into `share` of the time left, on the schedule of those; says how many. */
  const distil = async (
    what: string,
    model: ElasticModel,
    most: number,
    rate: number,
    strategy: 'instatune' | 'kd-only',
    share = 1,
  ) => {
    const start = performance.now();
    const steps = await trainWithin(
      { model, most, seconds: secondsLeft() * share, signal },
      async (wanted, stop, onStep) => {
        let done = 0;
        const onEach = (step: number) => onStep((done = step));
        await runTraining(what, model, wanted, rate, strategy, stop, onEach).catch(endedBy(signal));
        return done;
      },
    );
    log(`embeddings: ${what}: ${steps} of ${most} steps`);
    return { steps, trainingSeconds: round((performance.now() - start) / 1000, 1) };
  };
  const secondsLeft = (): number =>
    options.deadline === undefined ? Number.POSITIVE_INFINITY : (options.deadline - Date.now()) / 1000 - AT_THE_END;
  const cutOf = async (subnet: SubnetConfig): Promise<ElasticModel> => {
    if (recipe.reconstruct === false) return extractModel(model, subnet);
    const start = performance.now();
    const { calibration: texts = 2048 } = recipe;
    const cut = await withCalibration(train, Math.ceil(texts / 128), Math.min(texts, 128), (batches) =>
      reconstructSubnet(model, subnet, { batches }),
    );
    log(`embeddings: reconstructed in ${round((performance.now() - start) / 1000, 1)} s`);
    return cut;
  };
  const open = async (): Promise<ElasticModel> => (await loadCheckpoint(folder, { space: recipe.space })).model;
  const model = await open();
  await reorder(model, train, recipe);
  const macsOf = (subnet: SubnetConfig) => countMacs(model.config, subnet, { tokens: TOKENS });
  const full = macsOf(fullSubnet(model.space));
  const scores = async (of: ElasticModel, subnet?: SubnetConfig) => {
    const given = { batchSize, ...(subnet && { subnet }) };
    const { cosine, spearman, overlap, count } = await compareEmbeddings(of, report, {
      ...given,
      reference: references.report,
    });
    return { cosine: round(cosine, 4), spearman: round(spearman, 4), overlap: round(overlap, 4), sentences: count };
  };
  const row = (name: string, subnet: SubnetConfig, fields: Record<string, unknown>) =>
    emit({
      task: 'sentence embeddings',
      row: name,
      macs: macsOf(subnet),
      share: round(macsOf(subnet) / full, 3),
      parameters: countParameters(model.config, subnet),
      layers: subnet.layers,
      heads: subnet.heads.slice(0, subnet.layers),
      ffn: subnet.ffn.slice(0, subnet.layers),
      ...(subnet.hidden !== undefined && { hidden: subnet.hidden }),
      ...fields,
    });

  const { reportsAll = true } = recipe;
  /** What a network is before it is trained. */
  const early = async (of: ElasticModel): Promise<Record<string, unknown>> => {
    if (!reportsAll) return {};
    const { spearman, overlap } = await scores(of);
    return { atStart: { spearman, overlap } };
  };
  const release = (): void => {
    answers.dispose();
    teacher.dispose();
    model.dispose();
  };

  // Prefixes first: they need nothing of the rest.
  for (const layers of recipe.prefixes) {
    const subnet = uniformSubnet(model.space, layers, model.config.heads, model.config.ffn);
    const prefix = await cutOf(subnet);
    const start = await early(prefix);
    const trained = await distil(`prefix of ${layers}`, prefix, recipe.steps + recipe.tune, 1, 'kd-only');
    row('prefix', subnet, { ...(await scores(prefix)), ...trained, batch: recipe.batchSize, seed, ...start });
    await onModel?.(`prefix-${layers}`, prefix);
    prefix.dispose();
  }
  for (const { layers, heads, ffn } of recipe.direct ?? []) {
    const subnet = uniformSubnet(model.space, layers, heads, ffn);
    const cut = await cutOf(subnet);
    const start = await early(cut);
    const trained = await distil(`cut to ${heads} heads, ${ffn} units`, cut, recipe.steps + recipe.tune, 1, 'kd-only');
    row('sub-network, as cut', subnet, { ...(await scores(cut)), ...trained, batch: recipe.batchSize, seed, ...start });
    await onModel?.(String(round(macsOf(subnet) / full, 2)), cut);
    cut.dispose();
  }
  if (recipe.direct || recipe.shares.length === 0) return release();
  const trained = await distil('super-network', model, recipe.steps, recipe.superRate, 'instatune', 0.3);
  row('super-network', fullSubnet(model.space), {
    ...(reportsAll && (await scores(model))),
    ...trained,
    seed,
  });
  const known = new Map<string, Candidate>();
  const measure = async (genes: readonly number[]): Promise<Candidate> => {
    const key = genes.join();
    const subnet = genesToSubnet(model.space, [...genes]);
    const candidate = known.get(key) ?? {
      subnet,
      macs: macsOf(subnet),
      loss:
        1 -
        (await compareEmbeddings(model, search, { subnet, batchSize, reference: references.search, precision }))
          .overlap,
    };
    known.set(key, candidate);
    return candidate;
  };
  const space = model.space;
  await runSearch(
    {
      name: 'sentence embeddings',
      space: geneCardinalities(space).map((count) => integer(0, count - 1)),
      active: (genes) => usedGenes(space, [...genes]),
      objectives: [
        { name: 'macs', kind: 'exact', unit: 'G', evaluate: (genes) => macsOf(genesToSubnet(space, [...genes])) / 1e9 },
        { name: 'loss', kind: 'measured', evaluate: async (genes) => (await measure(genes)).loss },
      ],
      baseline: subnetToGenes(space, fullSubnet(space)),
    },
    {
      tactic: 'linas',
      evaluations: recipe.evaluations,
      population: Math.max(10, recipe.evaluations / 5),
      seed,
      signal,
    },
  );
  log(`embeddings: ${known.size} sub-networks measured`);
  for (const [index, share] of recipe.shares.entries()) {
    const within = [...known.values()].filter(({ macs }) => macs <= share * full).sort((a, b) => a.loss - b.loss);
    const chosen = within[0];
    if (!chosen) continue;
    const { subnet } = chosen;
    row('sub-network', subnet, {
      within: share,
      ...(reportsAll && (await scores(model, subnet))),
      searchOverlap: round(1 - chosen.loss, 4),
      seed,
    });
    const tuned = await extractModel(model, subnet);
    const part = 1 / (recipe.shares.length - index);
    const tuning = await distil(`sub-network within ${share}`, tuned, recipe.tune, 1, 'kd-only', part);
    row('sub-network, distilled on', subnet, { within: share, ...(await scores(tuned)), ...tuning, seed });
    await onModel?.(String(share), tuned);
    tuned.dispose();
  }
  release();
}

/** Sentences of a book of four words at least, each once. */
function sentencesOf(text: string): string[] {
  const plain = text.replace(/\s+/g, ' ');
  const found = plain.match(/[^.!?]+[.!?]+["”’')]*/g) ?? [];
  return [...new Set(found.map((sentence) => sentence.trim()).filter((sentence) => sentence.split(' ').length >= 4))];
}

/** Words that are one token each. */
function wordsOf(folder: string): string[] {
  const { model } = JSON.parse(readFileSync(`${folder}/tokenizer.json`, 'utf8')) as {
    model: { vocab: Record<string, number> };
  };
  return Object.keys(model.vocab).filter((token) => /^[a-z]{2,}$/.test(token));
}

const PIECE_WORDS = 4;

/** Runs of words of sentences, some of two joined; in every second one a tenth to two fifths of the words are others. */
function piecesOf(sentences: readonly string[], words: readonly string[], count: number, seed: number): string[] {
  const { next } = new SeededRandom(deriveSeed(seed, 19));
  const pick = <T>(list: readonly T[]) => list[Math.floor(next() * list.length)] as T;
  return Array.from({ length: count }, (_, piece) => {
    let text = pick(sentences).split(' ');
    if (next() < 0.3 && text.length < 30) text = [...text, ...pick(sentences).split(' ')];
    if (text.length > PIECE_WORDS + 2 && next() < 0.7) {
      const length = PIECE_WORDS + Math.floor(next() * (text.length - PIECE_WORDS));
      const from = Math.floor(next() * (text.length - length));
      text = text.slice(from, from + length);
    }
    if (piece % 2 === 0) return text.join(' ');
    const share = 0.1 + 0.3 * next();
    return text.map((word) => (next() < share ? pick(words) : word)).join(' ');
  });
}

/** Inputs of training texts, spread over all of them. The caller disposes. */
async function reorder(model: ElasticModel, data: Dataset, { batchSize, space }: EmbeddingRecipe): Promise<void> {
  const axes = (space.hidden?.length ?? 0) > 1 ? (['heads', 'ffn', 'hidden'] as const) : (['heads', 'ffn'] as const);
  await withCalibration(data, 4, Math.min(64, batchSize), (batches) =>
    reorderByImportance(model, { criterion: 'activation', batches, axes }),
  );
}
