import { defineConfig } from 'vite';
import { playgroundConfig } from './build/config.ts';

export default defineConfig(playgroundConfig());
