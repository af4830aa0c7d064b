import type { Registry } from '../identity/registry/registry.ts'
import type { KnownAgents } from './wishes.ts'

/** What grants ask of the registry: an agent as its newest token had it; one that was only declared is in no groups. */
export function knownAgents(registry: Pick<Registry, 'entry' | 'disabled' | 'flush'>): KnownAgents {
  return {
    disabled: registry.disabled,
    upToDate: () => registry.flush(),
    known(id) {
      const entry = registry.entry(id)
      if (!entry) return undefined
      const { issuer, subject, name, identity } = entry
      return identity ?? { id, issuer, subject, name: name ?? subject, groups: [] }
    },
  }
}
