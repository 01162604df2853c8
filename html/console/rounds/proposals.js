// Changes of approved rounds that one person proposes and another decides on.

import { api, filters } from '../api.js';
import { ask, el, toast } from '../dom.js';
import { addWords, moment, t, unfinished } from '../i18n.js';
import { changeList } from './changes.js';

addWords({
  zh: {
    'proposal.ask': '这个修改需要第二个人批准', 'proposal.ask.text': '场次是两个人批准的，修改也要两个人。提交后由另一位主管决定，批准的就是下面这些。',
    'proposal.why': '理由，写给审批的主管看', 'proposal.send': '提交修改', 'proposal.sent': '已提交，等待另一位主管批准；现在没有任何变化',
    'proposal.title': '场次“{name}”的修改', 'proposal.by': '{who} 提交于 {when}', 'proposal.reason': '理由：{reason}',
    'proposal.approve': '批准修改', 'proposal.approved': '已批准并生效', 'proposal.reject': '驳回', 'proposal.rejected': '已驳回', 'proposal.withdraw': '撤回', 'proposal.withdrawn': '已撤回',
    'proposal.ask.approve': '批准并立即执行？', 'proposal.ask.reject': '驳回这个修改', 'proposal.why.reject': '理由，写给提交的人看',
    'proposal.own': '这是您提交的，须由另一位主管批准。', 'proposal.moved': '提交之后场次已有变化，不能再批准；请撤回后重新提交。', 'proposal.wait': '有 {n} 个修改在等待批准',
    'error.second_person': '这个修改需要第二个人批准，请先提交。', 'error.own_proposal': '这是您提交的修改，须由另一位主管批准。', 'error.already_decided': '这个修改已经有人决定了。',
    'error.outdated': '提交之后场次已有变化，没有执行；请看现在的内容，需要的话重新提交。', 'error.not_possible': '现在不能这样修改，没有任何变化。', 'error.not_approved': '这个场次还没有批准，请直接修改。',
  },
  en: {
    'proposal.ask': 'This change needs a second person', 'proposal.ask.text': 'Two people approved this round, so two change it. Another supervisor decides; what they approve is exactly this.',
    'proposal.why': 'Why, for the supervisor who decides', 'proposal.send': 'Propose it', 'proposal.sent': 'Proposed: it waits for another supervisor, and nothing has changed yet',
    'proposal.title': 'A change of “{name}”', 'proposal.by': '{who} proposed it on {when}', 'proposal.reason': 'Why: {reason}',
    'proposal.approve': 'Approve the change', 'proposal.approved': 'Approved and carried out', 'proposal.reject': 'Reject', 'proposal.rejected': 'Rejected', 'proposal.withdraw': 'Withdraw', 'proposal.withdrawn': 'Withdrawn',
    'proposal.ask.approve': 'Approve it, and carry it out now?', 'proposal.ask.reject': 'Reject this change', 'proposal.why.reject': 'Why, for the person who proposed it',
    'proposal.own': 'You proposed this, so another supervisor has to approve it.', 'proposal.moved': 'The round has changed since, so this cannot be approved any more. Withdraw it and propose it again.', 'proposal.wait': '{n} {n|change waits|changes wait} for a second person',
  },
});

/** Shows what needs a second person and asks for the reason; `body` is what is sent. Returns whether it was proposed. */
export async function propose(error, body, titles = {}) {
  const reason = await ask({
    title: t('proposal.ask'), text: t('proposal.ask.text'), shows: changeList(error.body.changes, titles),
    yes: t('proposal.send'), no: t('cancel'), reason: t('proposal.why'),
  });
  if (!reason) return false;
  await api.post('/proposals', { ...body, reason });
  toast(t('proposal.sent'));
  return true;
}

/** The changes that wait, of one round or of all. */
export const waiting = (round = '') => api.get(`/proposals?${filters({ state: 'waiting', round })}`);

/** A change that waits, with its buttons; `act` does what each is for. */
export function proposalCard(proposal, me, act) {
  const path = `/proposals/${proposal.id}`;
  const button = (words, tone, work) => el('button.button', { type: 'button', class: tone, 'data-act': `proposal.${words}`, onclick: () => act(work) }, t(`proposal.${words}`));
  const isMine = proposal.proposed_by === me.name;
  const decides = me.role === 'supervisor' && !isMine;
  const tools = [
    isMine || me.role === 'supervisor' ? button('withdraw', '', async () => {
      await api.post(`${path}/withdraw`);
      toast(t('proposal.withdrawn'));
    }) : null,
    decides ? button('reject', '', async () => {
      const reason = await ask({ title: t('proposal.ask.reject'), yes: t('proposal.reject'), no: t('cancel'), reason: t('proposal.why.reject'), danger: true });
      if (!reason) return;
      await api.post(`${path}/reject`, { reason });
      toast(t('proposal.rejected'));
    }) : null,
    decides && !proposal.has_moved ? button('approve', 'is-main', async () => {
      const sure = await ask({ title: t('proposal.ask.approve'), shows: changeList(proposal.changes, proposal.titles), yes: t('proposal.approve'), no: t('cancel') });
      if (!sure) return;
      const is = await api.post(`${path}/approve`);
      toast(is.problem ? unfinished(is) : t('proposal.approved'), is.problem ? 'bad' : 'good');
    }) : null,
  ];
  const note = (key) => el('p.note', { 'data-tone': 'warn' }, t(key));
  return el('article.card.waiting', { 'data-proposal': proposal.id },
    el('div.head', {}, el('h2', {}, el('a', { href: `#/rounds/${encodeURIComponent(proposal.round)}` }, t('proposal.title', proposal)), ' ', el('span.soft.small', {}, proposal.round)), el('div.row', {}, tools)),
    el('p.soft.small', {}, t('proposal.by', { who: proposal.proposed_by, when: moment(proposal.proposed_ms) })),
    proposal.reason ? el('p', { dir: 'auto' }, t('proposal.reason', proposal)) : null,
    changeList(proposal.changes, proposal.titles),
    proposal.has_moved ? note('proposal.moved') : isMine && me.role === 'supervisor' ? note('proposal.own') : null);
}
