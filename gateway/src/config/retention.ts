import type { ConnectionConfig, GatewayConfig } from './schema.ts'

/** How long what belongs to a session is kept after it has ended, in milliseconds; Infinity is forever. */
export interface Keeping {
  recordings: number
  /** What approvals say of held commands; undefined: as long as the recording. */
  approvals: number | undefined
  annotations: number
  /** Payloads of the ledger's entries. */
  entries: number
  /** Classes of data: a session that touched one keeps nothing of what was done longer than this. */
  classes: ReadonlyMap<string, number>
}

export interface LoadedRetention {
  /** For connections that have no rules of their own, also those that are configured no more. */
  all: Keeping
  connections: ReadonlyMap<string, Keeping>
}

/** What is said of a connection goes before what is said of all, key by key and class by class. */
export function retentionOf(config: Pick<GatewayConfig, 'retention' | 'connections'>): LoadedRetention {
  const all = keepingOf({ classes: {} }, config.retention)
  const connections = Object.entries(config.connections).map(
    ([name, { retention }]) => [name, keepingOf(retention, config.retention)] as const,
  )
  return { all, connections: new Map(connections) }
}

function keepingOf(own: ConnectionConfig['retention'], all: GatewayConfig['retention']): Keeping {
  return {
    recordings: own.recordings ?? all.recordings,
    approvals: own.approvals ?? all.approvals,
    annotations: own.annotations ?? all.annotations ?? Number.POSITIVE_INFINITY,
    entries: own.entries ?? all.entries ?? Number.POSITIVE_INFINITY,
    classes: new Map([...Object.entries(all.classes), ...Object.entries(own.classes)]),
  }
}

/** A time to keep something as a person writes it: `90d`, `36h`, `forever`. */
export function keptWords(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return 'forever'
  for (const [unit, each] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (ms % each === 0) return `${ms / each}${unit}`
  return `${ms}ms`
}
