import type { AlarmKind, BundleVerdict, SeenCheckpoint, Verification, WitnessedKey } from '../../../witness-api.ts'

/** What an alarm is called. */
export const alarmWords: Record<AlarmKind, string> = {
  forked: 'The gateway’s log was forked',
  'rolled-back': 'The gateway’s log was rolled back',
  'key-changed': 'The gateway’s log is signed by another key',
  'bad-signature': 'A signature over the gateway’s log is wrong',
  'origin-changed': 'The gateway shows another log',
  'wrong-tiles': 'The gateway’s log does not match its signature',
  hidden: 'The gateway hides its log',
}

/** What it may mean, for who has to find out. */
export const alarmMeaning: Record<AlarmKind, string> = {
  forked:
    'Two logs were signed of which neither continues the other. A log that was restored from a backup and went on does that; so does somebody who wants to have something not happened.',
  'rolled-back':
    'Entries that were signed are gone. That is what a restored backup looks like, a gateway that was pointed at another data folder, or somebody who wants to have something not happened.',
  'key-changed':
    'A key is replaced by an entry in the log and a checkpoint that both keys sign. That was not done. A gateway that was set up anew does that; so does somebody else’s gateway in its place.',
  'bad-signature':
    'What the gateway shows is not what its key has signed: it was changed, in the gateway or on the way from it.',
  'origin-changed': 'Another name means another log. What is known of the one before says nothing about it.',
  'wrong-tiles':
    'The hashes that the gateway shows are not those of the log that it has signed. Its files may be damaged; countersign-gateway verify says where.',
  hidden: 'It has shown its log before, and now it does not. Without it, nobody can say that it only grew.',
}

export const outcomeWords: Record<Verification['outcome'], string> = {
  whole: 'whole',
  incomplete: 'incomplete',
  broken: 'broken',
  'cant-tell': 'can’t tell',
}

export const keyWords: Record<WitnessedKey['how'], string> = {
  'first-contact': 'trusted because it was the first one that this desktop saw',
  person: 'pinned by a person',
  accepted: 'accepted after an alarm',
  handover: 'handed over to by the key before it',
}

export const trustWords: Record<BundleVerdict['trust'], string> = {
  person: 'by a key that a person has pinned here',
  'first-contact': 'by a key that this desktop trusts since it first saw it; nobody has compared it yet',
  accepted: 'by a key that was accepted after an alarm',
  none: 'by no key that this desktop trusts',
}

export const howWords: Record<SeenCheckpoint['how'], string> = {
  asked: 'asked of the gateway',
  feed: 'told by the gateway',
  bundle: 'in a bundle',
  handover: 'handed the key over',
}

export const stateWords: Record<SeenCheckpoint['state'], string> = {
  proven: 'proven',
  pending: 'not proven yet',
  conflict: 'in conflict',
}

/** What became of what a campaign decided. */
export const applicationWords: Record<string, string> = {
  pending: 'not applied yet',
  applied: 'applied, not verified yet',
  verified: 'applied and verified',
  failed: 'failed',
  'not-supported': 'to be done elsewhere',
}

/** A campaign's state, as Reviews says it. */
export const campaignWords: Record<string, string> = {
  draft: 'draft',
  active: 'going on',
  closed: 'closed',
  cancelled: 'cancelled',
}

/** Exceptions that a campaign has or hasn't: a number beside them says nothing. */
export const onceOnly = new Set(['not-closed', 'not-signed-off'])

/** What an auditor asks about first in a campaign. */
export const exceptionWords: Record<string, string> = {
  undecided: 'undecided',
  abstained: 'abstained',
  'expired-default': 'decided by expiry',
  'application-pending': 'not enforced yet',
  'application-failed': 'application failed',
  'application-not-supported': 'can’t be enforced by an overlay',
  'overlay-rejected': 'application rejected',
  'overlay-rolled-back': 'rolled back',
  'thin-coverage': 'with thin coverage',
  'not-closed': 'not closed',
  'not-signed-off': 'not signed off',
  'rubber-stamp': 'reviewers with signals of rubber stamps',
  'evidence-missing': 'evidence missing',
  'commands-left-out': 'cited commands left out',
}

/** 48211 → 48,211 */
export const figure = (n: number) => n.toLocaleString('en-US')

export const entries = (n: number) => `${figure(n)} ${n === 1 ? 'entry' : 'entries'}`
