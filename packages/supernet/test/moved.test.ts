// What moved to @hip/checkpoints is still exported here, the same things, for one version.
import * as checkpoints from '@hip/checkpoints';
import * as generation from '@hip/checkpoints/generation';
import * as parts from '@hip/checkpoints/families';
import { expect, it } from 'vitest';
import * as supernet from '../src/index.ts';
import * as families from '../src/families.ts';

/** The functions and values that 0.1 exported and that live in @hip/checkpoints now. */
const MOVED = [
  'blobSource',
  'createTokenizer',
  'decodeTensor',
  'DTYPE_BYTES',
  'encodeFloats',
  'families',
  'fileSource',
  'findFamily',
  'folderFiles',
  'headGroup',
  'httpFiles',
  'httpSource',
  'hubFiles',
  'layerFfn',
  'layerHeads',
  'loadTokenizer',
  'MAX_HEADER_BYTES',
  'memoryFiles',
  'memorySource',
  'openSafetensors',
  'readJson',
  'request',
  'safetensorsChunks',
  'tensorBytes',
  'weightSlots',
  'writeSafetensors',
] as const;

it('exports them as they are there', () => {
  const [here, there] = [new Map(Object.entries(supernet)), new Map(Object.entries(checkpoints))];
  for (const name of MOVED) expect(here.get(name) ?? 'missing', name).toBe(there.get(name));
  expect(here.get('createSampler')).toBe(generation.createSampler);
  expect(new Map(Object.entries(families))).toEqual(new Map(Object.entries(parts)));
});

it('catches their errors as its own', async () => {
  const error = await supernet.loadCheckpoint('./nowhere').catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(checkpoints.CheckpointError);
  expect(error).toBeInstanceOf(supernet.SupernetError);
  expect(error).toMatchObject({ code: 'file-not-found', details: { path: './nowhere' } });
  expect(new supernet.SupernetError('internal', 'x')).toBeInstanceOf(supernet.SupernetError);
  expect(new supernet.SupernetError('internal', 'x')).not.toBeInstanceOf(checkpoints.CheckpointError);
  expect(new Error('x')).not.toBeInstanceOf(supernet.SupernetError);
});
