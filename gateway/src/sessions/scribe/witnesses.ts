import type { LedgerState } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import type { LedgerLog } from '../ledger/log.ts'

type Witness = LedgerState['witnesses'][number]

const NAME = 'witnesses'
/** Who cosigned longest ago makes room. */
const MOST = 200

/** Consoles that have cosigned, the latest last. */
export function witnessesIn(log: LedgerLog): Witness[] {
  return JSON.parse(String(log.meta(NAME) ?? '[]')) as Witness[]
}

/** Notes, with the next commit, that a console has cosigned the checkpoint of that size. */
export function withWitness(
  log: LedgerLog,
  { key, person, size }: { key: string; person: PersonRef; size: number },
): void {
  const all = witnessesIn(log)
  const before = all.find((one) => one.key === key)
  const { id, issuer, subject, name } = person
  const witness: Witness = {
    key,
    person: { id, issuer, subject, name },
    since: before?.since ?? new Date().toISOString(),
    size: Math.max(size, before?.size ?? 0),
  }
  const others = all.filter((one) => one.key !== key).slice(1 - MOST)
  log.setMeta(NAME, JSON.stringify([...others, witness]))
}
