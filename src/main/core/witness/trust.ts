import { LedgerError } from '@countersign/contract/ledger/errors'
import { formatVerifierKey, parseVerifierKey } from '@countersign/contract/ledger/note'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import { ConsoleError } from '../../../console-api.ts'
import type { WitnessAlarm } from '../../../witness-api.ts'
import type { WitnessStore } from './witness-store.ts'

/**
 * Pins the key of a gateway's log that a person compared, or has from elsewhere.
 * @throws ConsoleError bad-key, other-log
 */
export function pinKey(crypto: LedgerCrypto, store: WitnessStore, gateway: string, typed: string, now: string): void {
  const vkey = logKey(crypto, typed.trim())
  const known = store.logOf(gateway)
  if (known && known.origin !== vkey.name)
    throw new ConsoleError(
      'other-log',
      `This is a key of the log ${vkey.name}; the gateway’s is ${known.origin}. If you expected that one, don’t rely on this gateway.`,
    )
  const text = formatVerifierKey(vkey)
  if (!known) {
    const made = store.addLog({ origin: vkey.name, pinned: text, how: 'person', pinnedAt: now, since: now })
    store.bind(gateway, made.id)
  } else {
    const rotations = store.rotations(known.id)
    const from = known.pinned === text ? 0 : rotations.findIndex(({ to }) => to === text) + 1
    store.pin(known.id, text, 'person', now)
    store.setRotations(known.id, known.pinned === text || from > 0 ? rotations.slice(from) : [])
  }
}

/** What an acknowledged alarm means: the log that was relied on is given up where another one has taken its place. */
export function beginAnew(store: WitnessStore, alarm: WitnessAlarm, now: string): void {
  const was = store.logOf(alarm.gateway)
  // Of several alarms the first one that is acknowledged begins anew; the others are about the log of before.
  if (was && alarm.replaces && !alarm.back && was.since <= alarm.foundAt) {
    store.together(() => {
      store.giveUp(was.id, now)
      store.bind(alarm.gateway, undefined)
      if (alarm.kind === 'forked' || alarm.kind === 'rolled-back') {
        // The key is none the worse for it: the log is watched anew, by the same one.
        const { origin, pinned, how, pinnedAt } = was
        const again = store.addLog({ origin, pinned, how, pinnedAt, since: now })
        store.setRotations(again.id, store.rotations(was.id))
        store.bind(alarm.gateway, again.id)
      } else store.keep(`accepted ${alarm.gateway}`, now)
    })
  }
}

function logKey(crypto: LedgerCrypto, typed: string) {
  try {
    const key = parseVerifierKey(crypto.sha256, typed)
    if (key.type === 'ed25519') return key
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error
    throw new ConsoleError(
      'bad-key',
      `${sentence(error.message)} A log’s key looks like gw.example.com/ledger+9f2c41aa+AWd….`,
    )
  }
  throw new ConsoleError('bad-key', 'This is a witness’s key, not a log’s.')
}

/** Words as a sentence. */
export const sentence = (text: string) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`
