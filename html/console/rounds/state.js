// How a round's state is shown.

import { el } from '../dom.js';
import { t } from '../i18n.js';
import './words.js';

const TONES = { submitted: 'info', rejected: 'bad', approved: 'warn', published: 'good', running: 'good', paused: 'warn', withdrawn: 'bad' };
export const STATES = ['draft', 'submitted', 'rejected', 'approved', 'published', 'running', 'paused', 'ended', 'withdrawn'];

export const chip = (state) => el('span.chip', { 'data-tone': TONES[state], 'data-state': state }, t(`state.${state}`));
