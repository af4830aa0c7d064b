import type { ConnectionRecord } from '@countersign/contract/access'
import type { BaseLogger } from 'pino'
import type { Approvals } from '../approvals/approvals.ts'
import type { LoadedConfig } from '../config/config.ts'
import type { Gate } from '../gate/command.ts'
import type { Entrance } from '../gate/entrance.ts'
import { createIdentity } from '../identity/identity.ts'
import type { Identity, Principal } from '../identity/principal.ts'
import type { Policies } from '../policy/policy.ts'
import type { Store } from '../store/store.ts'
import { createEntrance, type EntranceRoom, type GrantsBehind } from './entrance.ts'
import { type Freezes, openFreezes } from './freezes.ts'

export interface AccessOptions {
  store: Store
  config: () => LoadedConfig
  policies: () => Policies
  approvals: Approvals
  gate: Pick<Gate, 'preview'>
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Milliseconds since the epoch. */
  clock?: () => number
}

/** Who is calling, what they may open, and what ends it: the rooms of access, each by its name. */
export interface Access extends AsyncDisposable {
  /** Takes tokens of issuers and of the gateway. */
  identity: Identity
  entrance: Entrance
  freezes: Freezes
  // Each room adds itself here: tokens, grants, registry, people.
  /** All connections that are configured, by name. */
  connections(): Omit<ConnectionRecord, 'freeze'>[]
  /**
   * Why somebody whose token is good may do nothing nevertheless, in words for them: an agent that is disabled, a person
   * who has left.
   */
  barred(who: Principal): string | undefined
  /** Tells once when somebody who is let in must go: a connection to the feed is closed then. */
  watch(who: Principal, gone: (because: Gone) => void): () => void
  /** A configuration was read anew and is in force. */
  reconfigured(changed: { policy: boolean }): void
}

/** Why somebody must go: their token has ended, or they themselves are barred. */
export interface Gone {
  because: 'token' | 'barred'
  words: string
}

/** Opens the rooms of access and ties them together. */
export async function openAccess(options: AccessOptions): Promise<Access> {
  const { store, config, gate, log } = options
  const clock = options.clock ?? Date.now
  await using stack = new AsyncDisposableStack()

  const { issuers, roles } = config().identity
  const identity = createIdentity({ issuers, roles, log, clock })
  const freezes = await openFreezes({ store, clock })
  const grants: GrantsBehind = { live: () => [], used() {} }
  const entrance: EntranceRoom = createEntrance({
    disabled: () => undefined,
    frozen: freezes.over,
    grants,
    preview: gate.preview,
    clock,
  })
  stack.defer(freezes.onFrozen(entrance.frozen))

  const parts = stack.move()
  return {
    identity,
    entrance,
    freezes,
    connections() {
      const all = [...config().connections.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
      return all.map(({ name, kind, tags, access, mode }) => {
        const open = { openSessions: entrance.openOn(name), liveGrants: 0 }
        return { name, kind, tags, access, mode, ...open }
      })
    },
    barred: () => undefined,
    watch: () => () => {},
    reconfigured({ policy }) {
      identity.reconfigure(config().identity)
      if (policy) entrance.policyChanged()
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}
