import type { ItemEvidence } from '@countersign/contract/review'
import type { ConfiguredConnection } from '../../access/connections.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import type { Permitted } from '../../policy/permitted/permitted.ts'
import type { Policies } from '../../policy/policy.ts'
import type { Store } from '../../store/store.ts'

/** What evidence is gathered from. */
export interface EvidenceParts {
  store: Pick<Store, 'db'>
  registry: Pick<Registry, 'agent' | 'agents' | 'entry'>
  /** The set in force, and what it permits without a command. */
  policies: Policies
  permitted: Permitted
  connections: readonly ConfiguredConnection[]
}

/** Which item a document is of, and when. */
export type Head = Pick<ItemEvidence, 'campaign' | 'item' | 'at'>

/** What was found beside the document, for what is recommended. */
export interface Facts {
  /** Commands that mode observe let pass, whatever policy said. */
  observed: number
  /** Whether all that was used could be told apart. */
  folded: boolean
}

/** What is to be reviewed isn't there (any more). */
export class NoSuchSubject extends Error {
  override name = 'NoSuchSubject'
}

/** @throws NoSuchSubject */
export function connectionOf({ connections }: Pick<EvidenceParts, 'connections'>, name: string): ConfiguredConnection {
  const found = connections.find((one) => one.name === name)
  if (!found) throw new NoSuchSubject(`There is no connection ${name}.`)
  return found
}
