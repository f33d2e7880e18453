// @hip/testing/browser: headless Chromium out of npm and a cross-origin isolated page to run in it.
export * from './bundle.ts';
export * from './open-browser.ts';
export * from './server.ts';
