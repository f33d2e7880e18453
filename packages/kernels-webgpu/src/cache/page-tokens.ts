// Tokens of a page of keys and values: what a pool takes where nothing else is said, and what serves where pages may go to the host.

/** Tokens of a page. */
export const PAGE_TOKENS = 256;

/** Of a page that may go to the host: a step brings back those that it reads a few keys of. */
export const OFFLOADED_PAGE_TOKENS = 64;
