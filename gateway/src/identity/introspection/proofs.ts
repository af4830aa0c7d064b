import { randomUUID } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import { agentRef, type Principal, TokenError } from '../principal.ts'

/** So many tokens are kept to be asked about; the oldest goes first, and its session with it at the next question. */
const mostKept = 10_000
/** While its issuer can't be asked a session goes on for so long since it could (milliseconds). */
export const unaskedFor = 5 * 60_000

interface Kept {
  token: string
  /** What `#handles` has it by. */
  key: string
  principal: Principal
  goodAt: number
}

/**
 * Tokens that their issuer can be asked about again (RFC 7662), for as long as a session may live by them. They are kept
 * in memory alone; what others hold of one is a handle that says nothing.
 */
export class Proofs {
  readonly #clock: () => number
  readonly #kept = new Map<string, Kept>()
  readonly #handles = new Map<string, string>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /**
   * Keeps a token that was good just now, and answers its handle: the same one for the same token, as long as its issuer
   * says the same of it. Sessions that were opened by what it said before are held to that.
   */
  keep(token: string, principal: Principal): string {
    const now = this.#clock()
    const key = `${token} ${canonical(said(principal))}`
    const handle = this.#handles.get(key) ?? randomUUID()
    this.#forget(handle)
    for (const [old, { principal: one }] of this.#kept) {
      if (this.#kept.size < mostKept && one.expiresAt.getTime() > now) break
      this.#forget(old)
    }
    this.#kept.set(handle, { token, key, principal, goodAt: now })
    this.#handles.set(key, handle)
    return handle
  }

  /**
   * Whether the token behind a handle is still good, and says the same.
   * @param ask checks the token as if it were presented anew; throws TokenError
   * @returns why not, in words that the session's client may read; undefined where it is good
   */
  async recheck(handle: string, ask: (token: string) => Promise<Principal>): Promise<string | undefined> {
    const kept = this.#kept.get(handle)
    if (!kept) return 'its issuer can’t be asked about the token any more'
    try {
      const now = await ask(kept.token)
      if (canonical(said(now)) !== canonical(said(kept.principal)))
        return 'its issuer says something else of the token now'
      kept.goodAt = this.#clock()
      return undefined
    } catch (error) {
      if (!(error instanceof TokenError)) throw error
      if (error.fault !== 'issuer-unreachable') return 'its issuer says that the token is good no more'
      if (this.#clock() - kept.goodAt < unaskedFor) return undefined
      return 'its issuer could not be asked about the token for too long'
    }
  }

  #forget(handle: string): void {
    const kept = this.#kept.get(handle)
    if (kept) this.#handles.delete(kept.key)
    this.#kept.delete(handle)
  }
}

/** What a session was opened as: with other groups it would have been another one. */
function said(principal: Principal) {
  const groups = principal.groups.toSorted()
  if (principal.kind === 'agent') return { ...agentRef(principal), groups }
  const { id, roles } = principal
  return { id, groups, roles }
}
