import { randomBytes } from 'node:crypto'
import { base64, concat, utf8 } from '@countersign/contract/ledger/encoding'
import { writeTar } from '@countersign/contract/ledger/tar'
import { ConsoleError } from '../../../console-api.ts'
import type { AlarmKind, Shown, WitnessAlarm } from '../../../witness-api.ts'
import type { Notifier } from '../ports/notifier.ts'
import { knownAsShown, type Suspect } from './look.ts'
import type { WitnessStore } from './witness-store.ts'

/** What an alarm is called, in a notification and over a screen. */
export const alarmTitles: Record<AlarmKind, string> = {
  forked: 'The gateway’s log was forked',
  'rolled-back': 'The gateway’s log was rolled back',
  'key-changed': 'The gateway’s log is signed by another key',
  'bad-signature': 'A signature over the gateway’s log is wrong',
  'origin-changed': 'The gateway shows another log',
  'wrong-tiles': 'The gateway’s log does not match its signature',
  hidden: 'The gateway hides its log',
}

/** Alarms: loud until a person has acknowledged them, and kept after that. */
export interface Alarms {
  open(gateway?: string): WitnessAlarm[]
  /** Raises it, or notes that it was found again. Answers false where the same was acknowledged and has not been good since. */
  raise(gateway: string, origin: string, suspect: Suspect, now: string): boolean
  /** A look found nothing wrong. */
  good(gateway: string): void
  /** Answers the alarm. @throws ConsoleError where it is not open */
  acknowledge(id: string, by: string, reason: string, now: string): WitnessAlarm
  /** The route that a notification opens; undefined where it isn't ours. */
  clicked(tag: string): string | undefined
  /** Says those that are open, as at a start: an alarm does not go by a restart. */
  remind(): void
}

export const alarmRoute = (id: string) => `/integrity/${encodeURIComponent(`alarm:${id}`)}`

export function createAlarms(store: WitnessStore, notifier: Notifier): Alarms {
  const tags = new Map<string, string>()
  const open = (gateway?: string) =>
    store.alarms().filter((alarm) => !alarm.acknowledged && (gateway === undefined || alarm.gateway === gateway))
  const quiet = (gateway: string, kind: AlarmKind) => `quiet ${gateway} ${kind}`

  function say(alarm: WitnessAlarm) {
    const tag = tags.get(alarm.id) ?? randomBytes(12).toString('hex')
    tags.set(alarm.id, tag)
    notifier.show({
      tag,
      title: alarmTitles[alarm.kind],
      body: `${alarm.gateway.replace(/^https?:\/\//, '')}: don’t rely on its evidence before you have looked.`,
      target: alarmRoute(alarm.id),
    })
  }

  return {
    open,
    raise(gateway, origin, suspect, now) {
      if (store.kept(quiet(gateway, suspect.kind)) === 'yes') return false
      const same = open(gateway).find(({ kind }) => kind === suspect.kind)
      // A fork says more than that the log is smaller now.
      const said =
        same ?? (suspect.kind === 'rolled-back' ? open(gateway).find(({ kind }) => kind === 'forked') : undefined)
      if (said) {
        store.saveAlarm({ ...said, lastAt: now, back: false })
        return true
      }
      const alarm: WitnessAlarm = {
        id: `al_${randomBytes(9).toString('hex')}`,
        kind: suspect.kind,
        gateway,
        origin,
        foundAt: now,
        lastAt: now,
        text: suspect.text,
        known: suspect.known ? knownAsShown(suspect.known) : null,
        shown: suspect.shown ?? null,
        key: suspect.key ?? null,
        proof: suspect.proof.map(base64),
        back: false,
        replaces: suspect.replaces,
        acknowledged: null,
      }
      store.saveAlarm(alarm)
      say(alarm)
      return true
    },
    good(gateway) {
      for (const alarm of open(gateway)) if (!alarm.back) store.saveAlarm({ ...alarm, back: true })
      for (const kind of Object.keys(alarmTitles) as AlarmKind[])
        if (store.kept(quiet(gateway, kind)) === 'yes') store.keep(quiet(gateway, kind), 'no')
    },
    acknowledge(id, by, reason, now) {
      const alarm = open().find((one) => one.id === id)
      if (!alarm) throw new ConsoleError('no-such-alarm', 'This alarm is not open: somebody has acknowledged it.')
      const done = { ...alarm, acknowledged: { at: now, by, reason } }
      store.saveAlarm(done)
      // What is not replaced would be found again at the next look: it has been seen, until it was good once.
      if (!alarm.back && !alarm.replaces) store.keep(quiet(alarm.gateway, alarm.kind), 'yes')
      const tag = tags.get(id)
      if (tag) notifier.withdraw(tag)
      tags.delete(id)
      return done
    },
    clicked(tag) {
      const id = [...tags].find(([, one]) => one === tag)?.[0]
      return id && alarmRoute(id)
    },
    remind() {
      for (const alarm of open()) say(alarm)
    },
  }
}

/**
 * The evidence of an alarm as a file for a third person: the two signed notes verbatim, the key, the hashes that lead to
 * both roots, and how to check them (docs/verify.md, "A log that was forked").
 */
export async function evidenceFile(alarm: WitnessAlarm): Promise<{ name: string; bytes: Uint8Array }> {
  const members = [
    { name: 'README.txt', text: readme(alarm) },
    ...(alarm.known ? [{ name: 'known', text: alarm.known.note }] : []),
    ...(alarm.shown ? [{ name: 'shown', text: alarm.shown.note }] : []),
    ...(alarm.key ? [{ name: 'log.vkey', text: `${alarm.key}\n` }] : []),
    ...(alarm.proof.length > 0 ? [{ name: 'hashes', text: `${alarm.proof.join('\n')}\n` }] : []),
  ].map(({ name, text }) => ({ name, bytes: utf8(text) }))
  const parts: Uint8Array[] = []
  for await (const part of writeTar(members.map((one) => ({ ...one, length: one.bytes.length })))) parts.push(part)
  return { name: `log-${alarm.kind}-${alarm.foundAt.slice(0, 10)}-${alarm.id}.tar`, bytes: concat(...parts) }
}

function readme(alarm: WitnessAlarm): string {
  const side = (what: string, one: Shown | null) =>
    one
      ? `${what}: ${one.size} entries, root ${one.root}\n  seen ${one.at}, from ${one.from}\n  signed by ${one.signedBy.join(', ')}\n`
      : ''
  return [
    `${alarmTitles[alarm.kind]}`,
    '',
    `gateway ${alarm.gateway}`,
    `log ${alarm.origin}`,
    `found ${alarm.foundAt}: ${alarm.text}`,
    '',
    side('known', alarm.known) + side('shown', alarm.shown),
    whatItShows(alarm),
    '',
    'known and shown are signed notes (c2sp.org/signed-note), verbatim. log.vkey is the key that this desktop trusted;',
    'take the one that you have from elsewhere. How to check them with openssl and sha256sum: docs/verify.md,',
    '"A log that was forked".',
    ...(alarm.acknowledged
      ? ['', `acknowledged ${alarm.acknowledged.at} by ${alarm.acknowledged.by}: ${alarm.acknowledged.reason}`]
      : []),
    '',
  ].join('\n')
}

function whatItShows({ kind, proof }: WitnessAlarm): string {
  if (kind === 'forked')
    return proof.length > 0
      ? 'Both are signed by the log. The hashes lead to the root of the larger one, and to another root than that of the\nsmaller one at its size: so the larger log does not begin with the smaller one. Nobody has to be believed for that.'
      : 'Both are signed by the log, have the same size and different roots. Nobody has to be believed for that.'
  if (kind === 'rolled-back')
    return 'Both are signed by the log. That the smaller one was shown after the larger one is what this desktop says; the larger\none shows that the log had been that large.'
  return 'The first is what this desktop relied on, the second what the gateway showed later. That it did is what this desktop says.'
}
