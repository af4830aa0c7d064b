import type { Identity } from '../principal.ts'
import type { SubjectTokens } from '../subject-tokens.ts'
import type { Registry } from './registry.ts'

/** The same identity; the registry hears of everybody whose token was good. */
export function noting<T extends Pick<Identity, 'authenticate'>>(identity: T, registry: Pick<Registry, 'seen'>): T {
  return {
    ...identity,
    async authenticate(token: string) {
      const principal = await identity.authenticate(token)
      registry.seen(principal)
      return principal
    },
  }
}

/** The same, of those whose tokens are exchanged. */
export function notingSubjects(tokens: SubjectTokens, registry: Pick<Registry, 'seen'>): SubjectTokens {
  return {
    ...tokens,
    async verify(given) {
      const principal = await tokens.verify(given)
      registry.seen(principal)
      return principal
    },
  }
}
