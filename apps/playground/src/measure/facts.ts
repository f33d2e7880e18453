// What the build knows: rows of benchmarks/results, versions of the peers (build/config.ts).
import type { StoredRow } from './protocol.ts';

declare const STORED_RESULTS: readonly StoredRow[];
declare const PEER_VERSIONS: Readonly<Record<string, string>>;

export const storedRows: readonly StoredRow[] = STORED_RESULTS;
export const peerVersions: Readonly<Record<string, string>> = PEER_VERSIONS;
