// Drafts of SmolLM2: sub-networks that its own super-network gives, as folders.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extractSubnet, fullSubnet, loadCheckpoint } from '@instatune/supernet';
import { startTfjs } from '../instatune/backend.ts';

export interface Drafts extends AsyncDisposable {
  /** Folder by what the draft is. */
  readonly folders: Readonly<Record<string, string>>;
}

/** The first layers of a model, and all of them with narrower FFNs: untrained, as the pretrained weights give them. */
export async function subnetDrafts(folder: string): Promise<Drafts> {
  await startTfjs('wasm');
  const out = await mkdtemp(join(tmpdir(), 'drafts-'));
  const folders: Record<string, string> = {};
  const { model } = await loadCheckpoint(folder, { space: { layers: [10, 20, 30], ffn: [768, 1536] } });
  try {
    const full = fullSubnet(model.space);
    const subnets = {
      'its first 10 of 30 layers': { ...full, layers: 10 },
      'its first 20 of 30 layers': { ...full, layers: 20 },
      'half of its FFN units': { ...full, ffn: full.ffn.map(() => 768) },
    };
    for (const [index, [name, subnet]] of Object.entries(subnets).entries()) {
      folders[name] = join(out, String(index));
      await extractSubnet(model, subnet, folders[name], { dtype: 'F16' });
    }
  } finally {
    model.dispose();
  }
  return { folders, [Symbol.asyncDispose]: () => rm(out, { recursive: true, force: true }) };
}
