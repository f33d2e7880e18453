// Profiles as JSON: read, refused, worked into a configuration.
import { layerConfig, DEFAULT_CONFIG } from '@hip/mask-search';
import { describe, expect, it } from 'vitest';
import { loadProfile, profileConfig } from '../../src/index.ts';

const PROFILE = {
  version: 1,
  model: { fingerprint: [0.6, -0.8], heads: 2 },
  text: { tokens: 4096, from: 2048, rowBlocks: 32 },
  config: { k: 320, blockQ: 64, blockK: 2, window: 64, sink: 16 },
  layers: [{ dense: true }, { kPerHead: [600, 40] }, { kPerHead: [320, 320], remainder: false }],
};

describe('loadProfile', () => {
  it('reads what was written, as text or parsed, and makes a configuration of it', () => {
    const profile = loadProfile(JSON.stringify(PROFILE));
    expect(profile).toEqual(PROFILE);
    expect(loadProfile(PROFILE)).toEqual(PROFILE);
    const config = profileConfig(profile);
    const [first, second, third, fourth] = [0, 1, 2, 3].map((layer) => layerConfig(config, layer));
    expect(first).toBe('dense');
    expect(second).toMatchObject({ k: 320, kPerHead: [600, 40], remainder: DEFAULT_CONFIG.remainder });
    expect(third).toMatchObject({ kPerHead: [320, 320], remainder: undefined });
    expect(fourth).toMatchObject({ k: DEFAULT_CONFIG.k });
    expect(fourth).not.toHaveProperty('kPerHead');
  });

  it.each([
    ['{"version": 1', /no JSON/],
    [[], /^the whole of the profile is \[\]: give an object/],
    [{ ...PROFILE, version: 2 }, /^version of the profile is 2: this package reads version 1/],
    [{ ...PROFILE, model: { heads: 2, fingerprint: [NaN] } }, /^model\.fingerprint/],
    [{ ...PROFILE, model: { heads: 0, fingerprint: [1] } }, /^model\.heads of the profile is 0/],
    [{ ...PROFILE, model: { ...PROFILE.model, name: 7 } }, /^model\.name/],
    [{ ...PROFILE, text: undefined }, /^text of the profile is undefined/],
    [{ ...PROFILE, text: { ...PROFILE.text, tokens: '4096' } }, /^text\.tokens of the profile is "4096"/],
    [
      { ...PROFILE, config: { ...PROFILE.config, window: -1 } },
      /^config\.window of the profile is -1: give an integer >= 0/,
    ],
    [{ ...PROFILE, config: { ...PROFILE.config, k: 321 } }, /^config\.k of the profile is 321: give a multiple/],
    [{ ...PROFILE, layers: {} }, /^layers/],
    [{ ...PROFILE, layers: [{ kPerHead: [3, 5] }] }, /^layers\[0\]: kPerHead\[0\] is 3/],
    [{ ...PROFILE, layers: [{ kPerHead: [4, 4, 4] }] }, /^layers\[0\]\.kPerHead .* give 2 numbers/],
    [{ ...PROFILE, layers: [7] }, /^layers\[0\] is 7/],
    [{ ...PROFILE, measured: { kl: 1 } }, /^measured\.perplexityRatio/],
  ])('refuses %j', (json, message) => {
    expect(() => loadProfile(json)).toThrowError(
      expect.objectContaining({ code: 'invalid-config', message: expect.stringMatching(message) as string }),
    );
  });

  it('is of the blocks that it was made for', () => {
    const base = { blockQ: 32 };
    expect(() => profileConfig(loadProfile(PROFILE), base)).toThrow(/^config\.blockQ .* the configuration has 32/);
  });
});
