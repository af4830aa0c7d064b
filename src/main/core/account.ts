import { SignIn } from '@countersign/contract/identity'
import { z } from 'zod'
import { ConsoleError } from '../../console-api.ts'
import { Unreachable } from './gateway-api.ts'
import type { Clock } from './ports/clock.ts'
import type { SecureStorage } from './ports/secure-storage.ts'
import { renew, revoke, type Tokens } from './sign-in.ts'

/** There is no valid sign-in; the message says what to do. */
export class SignedOut extends Error {
  override name = 'SignedOut'
}

const Account = z.object({
  gateway: z.string(),
  how: SignIn,
  tokens: z.object({ access: z.string(), expiresAt: z.number(), refresh: z.string().optional() }),
})
type Account = z.infer<typeof Account>

/** Tokens are renewed this long before they expire, so that a decision never waits for it. */
const ahead = 60_000
const storedAs = 'account'

/** Who is signed in, where, and the token to say so with. */
export interface Accounts extends Disposable {
  /** The gateway that a sign-in is kept for, if any. */
  current(): string | undefined
  /** Reads what was kept at the last run. */
  load(): Promise<void>
  save(gateway: string, how: SignIn, tokens: Tokens): Promise<void>
  /**
   * A token that is valid now. `rejected` is one that the gateway has just refused: it is not given again.
   * @throws SignedOut, Unreachable
   */
  token(rejected?: string): Promise<string>
  /** Forgets the sign-in, and tells the issuer where that is possible. */
  clear(): Promise<void>
}

export function createAccounts(secrets: SecureStorage, clock: Clock): Accounts {
  let account: Account | undefined
  let renewing: Promise<string> | undefined
  let cancelTimer = () => {}

  function schedule() {
    cancelTimer()
    if (!account?.tokens.refresh) return
    const wait = Math.max(account.tokens.expiresAt - ahead - clock.now(), 5_000)
    // A failure here is not lost: the next call renews, and says what went wrong.
    cancelTimer = clock.after(wait, () => void token().catch(() => {}))
  }

  async function keep(next: Account | undefined) {
    account = next
    if (next) await secrets.set(storedAs, JSON.stringify(next))
    else await secrets.delete(storedAs)
    schedule()
  }

  async function token(rejected?: string): Promise<string> {
    if (!account) throw new SignedOut('Sign in to go on.')
    const { tokens } = account
    const fresh = tokens.expiresAt - clock.now() > Math.min(ahead, tokens.refresh ? ahead : 0)
    if (fresh && tokens.access !== rejected) return tokens.access
    if (renewing) return renewing
    renewing = renewed(account).finally(() => {
      renewing = undefined
    })
    return renewing
  }

  async function renewed(from: Account): Promise<string> {
    if (!from.tokens.refresh) {
      await keep(undefined)
      throw new SignedOut('Your sign-in has expired. Sign in again.')
    }
    let answer: Awaited<ReturnType<typeof renew>>
    try {
      answer = await renew(from.how, from.tokens.refresh)
    } catch (error) {
      if (from.tokens.expiresAt > clock.now()) return from.tokens.access
      throw new Unreachable((error as Error).message, false)
    }
    if (account !== from) throw new SignedOut('Sign in to go on.')
    if (answer.state === 'ended') {
      await keep(undefined)
      throw new SignedOut(answer.problem)
    }
    await keep({ ...from, tokens: answer.tokens })
    return answer.tokens.access
  }

  return {
    current: () => account?.gateway,
    async load() {
      const kept = await secrets.get(storedAs)
      if (!kept) return
      try {
        account = Account.parse(JSON.parse(kept))
        schedule()
      } catch {
        await secrets.delete(storedAs)
      }
    },
    save: (gateway, how, tokens) => keep({ gateway, how, tokens }),
    token,
    async clear() {
      const last = account
      await keep(undefined)
      if (last?.tokens.refresh) await revoke(last.how, last.tokens.refresh).catch(() => {})
    },
    [Symbol.dispose]: () => cancelTimer(),
  }
}

/** An error of the core, as the person sees it. */
export function asConsoleError(error: unknown): ConsoleError {
  if (error instanceof ConsoleError) return error
  if (error instanceof SignedOut) return new ConsoleError('signed-out', error.message)
  if (error instanceof Unreachable) return new ConsoleError('unreachable', error.message)
  if (error instanceof Error && error.name === 'Refused') return new ConsoleError('refused', error.message)
  return new ConsoleError(
    'fault',
    `Something in the console went wrong: ${error instanceof Error ? error.message : error}`,
  )
}
