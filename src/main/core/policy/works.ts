import type { z } from 'zod'
import { DraftWork } from '../../../policy-api.ts'
import { type Seal, Unreadable } from '../outbox/seal.ts'
import type { Store } from '../store/store.ts'

/** What a person wrote of drafts and has not saved: on this computer's disk with every pause in typing. */
export interface DraftWorks {
  all(): DraftWork[]
  get(id: string): DraftWork | undefined
  keep(work: DraftWork): void
  drop(id: string): void
}

/** @param owner whose, at which gateway; undefined while nobody is signed in */
export function draftWorks(store: Store, seal: Seal, owner: () => string | undefined): DraftWorks {
  const open = (whose: string, { id, sealed }: { id: string; sealed: Buffer }): DraftWork[] => {
    try {
      const parsed: z.ZodSafeParseResult<DraftWork> = DraftWork.safeParse(seal.open(sealed, `${whose} ${id}`))
      return parsed.success ? [parsed.data] : []
    } catch (error) {
      if (error instanceof Unreadable) return []
      throw error
    }
  }
  const all = () => {
    const whose = owner()
    return whose === undefined ? [] : store.policy.works(whose).flatMap((row) => open(whose, row))
  }
  return {
    all,
    get: (id) => all().find((work) => work.id === id),
    keep(work) {
      const whose = owner()
      if (whose !== undefined) store.policy.saveWork(whose, work.id, seal.shut(work, `${whose} ${work.id}`))
    },
    drop(id) {
      const whose = owner()
      if (whose !== undefined) store.policy.removeWork(whose, id)
    },
  }
}
