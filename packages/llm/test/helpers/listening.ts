// A server on a port of this machine, over a tiny model of random weights.
import { loadLanguageModel, type LoadOptions } from '../../src/model/load.ts';
import type { LanguageModel } from '../../src/model/language-model.ts';
import { createServer, type LlmServer, type ServerOptions } from '../../src/serve.ts';
import { chatFolder } from './chat-folder.ts';

export interface Listening extends AsyncDisposable {
  readonly server: LlmServer;
  readonly model: LanguageModel;
  readonly url: string;
  readonly port: number;
  /** What clients are given. */
  readonly baseURL: string;
}

export async function listening(options: ServerOptions = {}, load: LoadOptions = {}): Promise<Listening> {
  using folder = await chatFolder({ max_position_embeddings: 2048 });
  const model = await loadLanguageModel(folder.path, { threads: 1, ...load });
  const server = createServer(model, { names: ['tiny'], ...options });
  const { url, port } = await server.listen({ port: 0 });
  const end = async (): Promise<void> => {
    await server.close();
    model.close();
  };
  return { server, model, url, port, baseURL: `${url}/v1`, [Symbol.asyncDispose]: end };
}
