// When a release may leave.

/**
 * @param repository of repository.mjs
 * @param packages name, version and CHANGELOG.md of every public package
 * @param stale files that `npm run manifests` would write
 * @param pending changesets that no version has taken in
 * @returns one sentence for each thing that stands against it, with what to do
 */
export function reasonsAgainst({ repository, packages, stale, pending }) {
  const reasons = [];
  if (repository.isPlaceholder)
    reasons.push(
      `the repository's address is still ${repository.url}: write yours into repository.url of the root package.json, then npm run manifests`,
    );
  for (const path of stale) reasons.push(`${path} does not follow the root package.json: npm run manifests`);
  for (const path of pending) reasons.push(`${path} is in no version yet: node scripts/run.mjs exec changeset version`);
  for (const { name, version, changelog } of packages) {
    if (!changelog.includes(`## ${version}`))
      reasons.push(`${name} ${version} has no entry in its CHANGELOG.md: node scripts/run.mjs exec changeset version`);
  }
  return reasons;
}
