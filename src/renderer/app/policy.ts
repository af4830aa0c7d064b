import type { PolicyText } from '@countersign/contract/policies'
import type { Overlay } from '@countersign/contract/review'
import { create } from 'zustand'
import type { PolicyView } from '../../policy-api.ts'
import { wordsOf } from './api.ts'
import { fetchFile } from './exporting.ts'
import { core, type Me, say, useConsole } from './store.ts'

/** Policy as the core tells of it: what is in force, its past, drafts, backtests, overlays. */
interface Known {
  /** undefined until the core has answered. */
  readonly view: PolicyView | undefined
  readonly problem: string
}

const useKnown = create<Known>()(() => ({ view: undefined, problem: '' }))
let following: object | undefined

function follow() {
  const { api } = useConsole.getState()
  if (!api || following === api) return
  following = api
  api.on((event) => {
    if (event.type === 'snapshot') void read(false)
    if (event.type !== 'policy') return
    const { changed } = event
    const parts = Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== undefined))
    useKnown.setState(({ view }) => ({ view: { ...(view ?? nothing), ...parts } }))
  })
  void read(false)
}

const untold = { at: null }
const nothing: PolicyView = {
  ...{ inForce: null, versions: [], moreVersions: false, drafts: [], works: [], backtests: [], overlays: [] },
  parts: { 'in-force': untold, versions: untold, drafts: untold, backtests: untold, overlays: untold },
  loading: true,
}

async function read(look = true) {
  try {
    useKnown.setState({ view: await core().call('policy', { look }), problem: '' })
  } catch (error) {
    useKnown.setState({ problem: wordsOf(error) })
  }
}

/** What is known of policy here. */
export function usePolicy<T>(select: (known: Known) => T): T {
  follow()
  return useKnown(select)
}

/** Asks the core anew: somebody looks, or asks to try again. */
export const readPolicy = () => void read()

const has = (me: Me | null, ...roles: string[]) =>
  me?.kind === 'person' && me.roles.some((role) => roles.includes(role))
export const mayDraft = (me: Me | null) => has(me, 'reviewer', 'admin')
export const mayBacktest = (me: Me | null) => has(me, 'reviewer', 'auditor', 'admin')
export const mayApply = (me: Me | null) => has(me, 'admin')

/** Whether an overlay waits for another person: to be applied, or for the second word on its rolling back. */
export const waits = ({ state, rollBack }: Overlay): boolean =>
  state === 'proposed' ||
  (rollBack !== undefined && (state === 'verified' || state === 'applied' || state === 'failed'))

/** Whether this person may be the second pair of eyes. */
export function isSecond(overlay: Overlay, me: Me | null): boolean {
  if (!mayApply(me)) return false
  return overlay.state === 'proposed' ? overlay.proposed.by?.id !== me?.id : overlay.rollBack?.by.id !== me?.id
}

/** What of overlays is this person's business now: those that wait for them, and those that failed and are enforced or meant to be. */
export function overlaysForMe(overlays: readonly Overlay[], me: Me | null): { waiting: number; failed: number } {
  let waiting = 0
  let failed = 0
  for (const overlay of overlays) {
    if (waits(overlay) && isSecond(overlay, me)) waiting += 1
    if (overlay.state === 'failed') failed += 1
  }
  const counts = counted.get(`${waiting} ${failed}`) ?? { waiting, failed }
  counted.set(`${waiting} ${failed}`, counts)
  return counts
}
/** The same figures are the same object: who looks at them isn't drawn anew. */
const counted = new Map<string, { waiting: number; failed: number }>()

interface Saved {
  name: string
  form: 'file' | 'tar' | 'patch'
  files: PolicyText[]
  before?: PolicyText[]
}

/** Writes files for the policy folder. @returns where, or undefined where it was not wanted. @throws Error in words */
export async function savePolicyFiles(what: Saved): Promise<{ where: string } | undefined> {
  // Several pages of one console hear the same events: each follows its own.
  const work = `policy ${crypto.randomUUID()}`
  const stop = core().on((event) => {
    if (event.type === 'export' && event.work === work && event.url) fetchFile(event.url)
  })
  try {
    const { state, where } = await core().call('savePolicyFiles', { ...what, work })
    if (state === 'cancelled') return undefined
    say(`${what.name} written`)
    return { where: where ?? what.name }
  } finally {
    stop()
  }
}
