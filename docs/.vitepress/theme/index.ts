// VitePress's own theme, with a footer on every page and room for pictures.
import type { Theme } from 'vitepress';
import DefaultTheme from 'vitepress/theme';
import Layout from './Layout.vue';
import './style.css';

export default { extends: DefaultTheme, Layout } satisfies Theme;
