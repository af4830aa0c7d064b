import type { LedgerState } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import { LedgerError } from '@countersign/contract/ledger/errors'
import type { LedgerLog } from '../ledger/log.ts'

type Witness = LedgerState['witnesses'][number]

const NAME = 'witnesses'
/** Who cosigned longest ago makes room. */
const MOST = 200
/** So many keys a person may cosign with at a time: the fifty lines that a checkpoint takes are for all. */
const MOST_OF_ONE = 8

/** Consoles that have cosigned, the latest last. */
export function witnessesIn(log: LedgerLog): Witness[] {
  return JSON.parse(String(log.meta(NAME) ?? '[]')) as Witness[]
}

/**
 * Refuses one more key of a person who has cosigned checkpoints that still take cosignatures with as many as may be.
 * @throws LedgerError
 */
export function mayWitness(log: LedgerLog, { key, person }: { key: string; person: PersonRef }): void {
  const all = witnessesIn(log)
  if (all.some((one) => one.key === key)) return
  const own = all.filter((one) => one.person.id === person.id && (one.size ?? 0) >= log.cosignableFrom)
  if (own.length >= MOST_OF_ONE)
    throw new LedgerError(
      'out-of-range',
      `${person.name} cosigns with ${MOST_OF_ONE} keys already, as many as one person may: one of them is free again some minutes after it was used last`,
    )
}

/** Notes, with the next commit, that a console has cosigned the checkpoint of that size. It stays whose it was first. */
export function withWitness(
  log: LedgerLog,
  { key, person, size }: { key: string; person: PersonRef; size: number },
): void {
  const all = witnessesIn(log)
  const before = all.find((one) => one.key === key)
  const { id, issuer, subject, name } = before?.person ?? person
  const witness: Witness = {
    key,
    person: { id, issuer, subject, name },
    since: before?.since ?? new Date().toISOString(),
    size: Math.max(size, before?.size ?? 0),
  }
  const others = all.filter((one) => one.key !== key)
  const own = others.filter((one) => one.person.id === id)
  const kept = own.length >= MOST_OF_ONE ? others.filter((one) => one !== own[0]) : others
  log.setMeta(NAME, JSON.stringify([...kept.slice(1 - MOST), witness]))
}
