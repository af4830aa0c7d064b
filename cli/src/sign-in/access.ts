import { notSignedIn } from '../errors.ts'
import type { Caller } from '../gateway/gateway.ts'
import type { Kept, KeptGateway } from './kept.ts'
import { locked } from './lock.ts'

/** So long before its end a token is renewed (ms): a call may take a while. */
const early = 30_000

/** The person who is signed in to a gateway, with a token that is renewed when it has to be. */
export function personAt(kept: Kept, gateway: string): Caller {
  return { kind: 'person', token: async () => (await signedIn(kept, gateway)).tokens.access, renew: () => {} }
}

/**
 * A sign-in whose token holds for a while. Of several processes one renews, and the others take what it got: a refresh
 * token that is used twice ends the sign-in at many issuers.
 * @throws CliError 4 where nobody is signed in, or no longer
 */
export async function signedIn(kept: Kept, gateway: string): Promise<KeptGateway> {
  const found = kept.read(gateway)
  if (!found) throw notSignedIn(`you are not signed in to ${gateway}: countersign login --gateway ${gateway}`)
  if (isFresh(found)) return found
  return locked(kept.lockOf(gateway), async () => {
    const now = kept.read(gateway)
    if (!now) throw notSignedIn(`you have signed out of ${gateway}: countersign login --gateway ${gateway}`)
    if (isFresh(now)) return now
    if (now.tokens.refresh === undefined)
      throw notSignedIn(`your sign-in has ended: countersign login --gateway ${gateway}`)
    const { renew } = await import('./issuer.ts')
    const renewed = { ...now, tokens: await renew(now.signIn, now.tokens.refresh) }
    kept.write(renewed, { current: false })
    return renewed
  })
}

const isFresh = ({ tokens }: KeptGateway): boolean => tokens.expiresAt - Date.now() > early
