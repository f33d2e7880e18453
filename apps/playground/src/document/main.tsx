import { mount } from '../shell/mount.tsx';
import { DocumentPage } from './page.tsx';

mount(DocumentPage, '../');
