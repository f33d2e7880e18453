import { mount } from '../shell/mount.tsx';
import { SmallerPage } from './page.tsx';

mount(SmallerPage, '../');
