import { LedgerError } from '@countersign/contract/ledger/errors'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import type { Alarms } from './alarms.ts'
import { storedChain } from './keys.ts'
import { row, shownOf, suspicion } from './look.ts'
import type { WitnessStore } from './witness-store.ts'

/**
 * A checkpoint in a bundle that was signed by a trusted key is one that this desktop has seen: stored for the next look,
 * or an alarm where it contradicts another one. Answers whether it is news.
 */
export function seeInBundle(
  by: { crypto: LedgerCrypto; store: WitnessStore; alarms: Alarms; gateway: string | null; now: string },
  note: string,
  name: string,
): boolean {
  const { crypto, store, alarms, gateway, now } = by
  for (const one of store.logs()) {
    if (one.givenUpAt !== null) continue
    try {
      const opened = storedChain(crypto, store, one).open(note)
      const seen = row(one, opened, note, { seenAt: now, how: 'bundle', source: name, state: 'pending' })
      const twin = store.ofSize(one.id, seen.size).find(({ root, state }) => root !== seen.root && state !== 'conflict')
      if (twin) {
        const text = `it signed two different logs of ${seen.size} entries, one of them in the bundle ${name}`
        const shown = shownOf(note, now, name)
        store.addCheckpoint({ ...seen, state: 'conflict' })
        const found = suspicion('forked', text, { known: twin, shown, key: one.pinned, certain: true })
        alarms.raise(gateway ?? one.origin, one.origin, found, now)
        return false
      }
      return store.addCheckpoint(seen)
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error
    }
  }
  return false
}
