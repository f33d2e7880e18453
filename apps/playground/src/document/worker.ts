// The worker of the page of long documents: a model in two lanes, texts through both, conversations.
import { openCheckpoint } from '@hip/checkpoints';
import { PlaygroundError } from '../rpc/protocol.ts';
import { serve, type Context } from '../rpc/worker.ts';
import { converse } from './conversation.ts';
import { Lane } from './lane.ts';
import type {
  DocumentOperations,
  KeyAnswer,
  LaneProgress,
  LoadInput,
  LoadProgress,
  ModelInfo,
  ReadInput,
  ReadOutput,
} from './protocol.ts';
import { sourceFiles } from '../models/source.ts';
import { firstTokens, textTokens } from './tokens.ts';

/** Tokens beyond the text: questions, answers, the words of a chat template. */
const SPARE_TOKENS = 768;
/** Milliseconds between two reports of a lane. */
const REPORT_MS = 100;

let lanes: Lane[] = [];
/** Tokens of text that the lanes have room for. */
let room = 0;

serve<DocumentOperations>({
  load,
  read,
  chat: async (input, context) => {
    const readers = requireLanes();
    const { tokenizer } = readers[0]!.model;
    // A conversation about a text that is too long is one about its beginning, as the reading is.
    const document = input.document && tokenizer.decode(firstTokens(input.document, tokenizer, room));
    return converse(readers, { ...input, document }, context);
  },
});

async function load(input: LoadInput, { signal, emit }: Context<LoadProgress>): Promise<ModelInfo> {
  close();
  const { files, gguf } = await sourceFiles(input.source, input.bundled, signal, ({ loaded, total }) =>
    emit({ what: 'download', loaded, total }),
  );
  await using checkpoint = await openCheckpoint(files, { gguf, signal });
  const { config, family } = checkpoint;
  const { backend, tokens, selectsAlways } = input;
  const loaded: Lane[] = [];
  try {
    for (const name of input.lanes) {
      const onProgress = (progress: { loaded: number; total: number }): void => emit({ what: name, ...progress });
      const contextTokens = tokens + SPARE_TOKENS;
      const options = { backend, contextTokens, selectsAlways, signal, onProgress };
      loaded.push(await Lane.load(name, checkpoint, options));
    }
  } catch (error) {
    for (const lane of loaded) lane[Symbol.dispose]();
    throw error;
  }
  lanes = loaded;
  room = tokens;
  const [{ model }] = loaded as [Lane];
  return {
    family: family.name,
    layers: config.layers,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headSize: config.headSize,
    vocabulary: config.vocabSize,
    trainedTokens: config.maxPositions,
    tokens,
    backend: model.backend,
    reason: model.reason,
    threads: model.backend === 'wasm' && crossOriginIsolated ? navigator.hardwareConcurrency : 1,
    canChat: (await checkpoint.chatTemplate()) !== undefined,
    weights: model.memory.weights,
  };
}

/** Both lanes read; whichever has used less time goes on, as two runners would on machines of their own. */
async function read(input: ReadInput, { signal, emit }: Context<LaneProgress>): Promise<ReadOutput> {
  const readers = requireLanes();
  const ids = textTokens(input.text, readers[0]!.model.tokenizer, input);
  for (const lane of readers) lane.begin(ids, input.layer);
  const told = new Map<Lane, number>();
  for (;;) {
    const [lane] = readers.filter(({ isDone }) => !isDone).sort((a, b) => a.ms - b.ms);
    if (!lane) break;
    await lane.advance(signal, (progress) => {
      const now = performance.now();
      const isNews = progress.mask !== undefined || progress.done === progress.total;
      if (!isNews && now - (told.get(lane) ?? 0) < REPORT_MS) return;
      told.set(lane, now);
      emit(progress);
    });
  }
  const answers: KeyAnswer[] = [];
  if (input.passKey) for (const lane of readers) answers.push(await lane.ask(input.passKey, signal));
  return { tokens: ids.length, lanes: readers.map(({ progress }) => progress), answers };
}

function requireLanes(): readonly Lane[] {
  if (lanes.length > 0) return lanes;
  throw new PlaygroundError('no-model', 'no model is loaded: load one first');
}

function close(): void {
  for (const lane of lanes) lane[Symbol.dispose]();
  lanes = [];
}
