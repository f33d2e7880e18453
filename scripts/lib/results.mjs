// Adds up vitest's JSON reports, and says which skipped tests must not be skipped in CI.

/**
 * A test may be skipped in CI only where it needs a Redis server, none can be had and its name says so: no package of the
 * npm registry holds one. Everything else a test may need (a software GPU, a browser, the shared data) is there in CI.
 * A machine without the shared data (a fork's CI) says so by HIP_ALLOW_SKIPPED=shared. A WebGPU test may not be skipped for
 * want of a GPU anywhere.
 *
 * @param allowed `shared`, or nothing
 */
export function mayBeSkippedInCi(name, allowed = '') {
  if (!/skipped: \S/.test(name)) return false;
  if (allowed === 'shared' && /skipped: no \.\.\/shared\//.test(name)) return true;
  return /\b(redis|valkey)\b/i.test(name) && !/webgpu/i.test(name);
}

/**
 * @param reports one `{ name, report }` a package; `report` is vitest's JSON, undefined where the package's run left none
 * @param ci whether skipped tests fail the run
 * @param allowed what may be missing all the same: HIP_ALLOW_SKIPPED
 * @returns totals, one line a package, and the lines to print about single tests
 */
export function addUp(reports, { ci, allowed = '', relative = (path) => path }) {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  const packages = [];
  const failures = [];
  const skipped = [];
  for (const { name, report } of reports) {
    if (!report) {
      failures.push(`FAILED ${name}: no test results (its run failed before any test)`);
      totals.failed++;
      continue;
    }
    const counts = { passed: 0, failed: 0, skipped: 0 };
    for (const file of report.testResults) {
      const path = relative(file.name);
      if (file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')) {
        counts.failed++;
        // vitest leaves the message empty where a hook inside of `describe` fails.
        const reason = file.assertionResults.length ? 'a hook failed, or did not end' : 'the file did not load';
        failures.push(`FAILED ${path}: ${file.message?.split('\n')[0] || reason}`);
      }
      for (const test of file.assertionResults) {
        if (test.status === 'passed') counts.passed++;
        else if (test.status === 'failed') {
          counts.failed++;
          failures.push(`FAILED ${path} > ${test.fullName}`);
        } else {
          counts.skipped++;
          skipped.push(`${path} > ${test.fullName}`);
        }
      }
    }
    if (counts.passed + counts.failed + counts.skipped === 0) {
      counts.failed++;
      failures.push(`FAILED ${name}: no tests`);
    }
    packages.push(`${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    for (const key of Object.keys(totals)) totals[key] += counts[key];
  }
  const forbidden = ci ? skipped.filter((name) => !mayBeSkippedInCi(name, allowed)) : [];
  return { totals, packages, failures, skipped, forbidden, ok: totals.failed === 0 && forbidden.length === 0 };
}
