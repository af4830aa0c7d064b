import { z } from 'zod'
import type { Seal } from '../outbox/seal.ts'
import type { PolicyKind } from '../store/policy-rows.ts'
import type { Store } from '../store/store.ts'

/** Versions, drafts, results of backtests and overlays as the gateway told them: sealed, for samples are commands of people's databases. */
export interface Shelf {
  get<T>(kind: PolicyKind, id: string, schema: z.ZodType<T>): T | undefined
  save(kind: PolicyKind, id: string, at: string, told: unknown): void
  remove(kind: PolicyKind, id: string): void
}

const Sealed = z.object({ sealed: z.base64() })

export function policyShelf(store: Store, seal: Seal): Shelf {
  const about = (kind: PolicyKind, id: string) => `policy ${kind}\n${id}`
  return {
    get(kind, id, schema) {
      const row = store.policy.get(kind, id, Sealed)
      if (!row) return undefined
      try {
        return schema.parse(seal.open(Buffer.from(row.sealed, 'base64'), about(kind, id)))
      } catch {
        // An older form, or another key: the gateway will tell it anew.
        return undefined
      }
    },
    save(kind, id, at, told) {
      store.policy.save(kind, id, at, { sealed: seal.shut(told, about(kind, id)).toString('base64') })
    },
    remove: (kind, id) => store.policy.remove(kind, id),
  }
}
