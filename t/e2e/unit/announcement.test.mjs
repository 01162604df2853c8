import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { followAnnouncement, saidAt } from '../../../html/static/assets/announcement.js';
import { isAwaited } from '../../../html/static/assets/cadence.js';
import { initial, reduce } from '../../../html/static/assets/purchase.js';

test('an announcement is shown until its time, and what is none is not', () => {
  const file = { text: 'Delivery takes <b>two</b> days.', until_ms: 1_000 };
  assert.equal(saidAt(file, 999), file.text);
  assert.equal(saidAt(file, 1_000), null);
  assert.equal(saidAt(file, null), file.text, 'the clock is not known yet');
  for (const none of [null, {}, { text: null, until_ms: 9e15 }, { text: '', until_ms: 9e15 }, { text: 7, until_ms: 9e15 }]) assert.equal(saidAt(none, 0), null);
});

test('a page follows what is announced while it waits, also for what is sold out, and says nothing of it when it is done', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
  try {
    let file = { text: 'Half an hour late.', until_ms: 9e15 };
    globalThis.fetch = async () => new Response(JSON.stringify(file));
    const said = async () => {
      for (let n = 0; n < 4; n += 1) {
        mock.timers.tick(2_000);
        for (let m = 0; m < 5; m += 1) await turn();
      }
      return node.hidden ? null : node.textContent;
    };
    const node = { hidden: true, textContent: '' };
    let s = initial({ opens: 0, ends: 1_000 });
    let visible = true;
    followAnnouncement(node, { now: () => 500, reads: () => visible, wants: () => isAwaited(s, 500) });
    assert.equal(await said(), file.text);
    s = reduce(s, { type: 'sale', answer: { state: 'sold_out' } });
    file = { ...file, text: 'More are coming.' };
    assert.equal(await said(), 'More are coming.');
    // Behind another window it is not read, and not forgotten.
    visible = false;
    file = { text: null };
    assert.equal(await said(), 'More are coming.');
    visible = true;
    assert.equal(await said(), null);
    file = { text: 'Sold in an hour again.', until_ms: 9e15 };
    assert.equal(await said(), file.text);
    for (const state of ['withdrawn', 'ended']) {
      s = reduce(s, { type: 'sale', answer: { state } });
      assert.equal(await said(), null, state);
    }
  } finally {
    mock.timers.reset();
  }
});
