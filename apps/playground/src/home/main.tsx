import { mount } from '../shell/mount.tsx';
import { HomePage } from './page.tsx';

mount(HomePage, './');
