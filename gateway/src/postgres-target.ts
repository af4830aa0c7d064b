import type { LoadedConfig, LoadedPostgresConnection } from './config/config.ts'
import { styleOf } from './config/masking.ts'
import type { KnownColumns } from './masking/earlier.ts'
import type { Masking } from './masking/masking.ts'
import { classProblemKinds } from './masking/resolve.ts'
import type { PostgresTarget } from './postgres/postgres.ts'
import type { Metrics } from './telemetry/metrics.ts'

/** What masking needs beside the configuration. */
export interface MaskingRules {
  key: Buffer
  known: KnownColumns
  metrics: Pick<Metrics, 'classProblems'>
}

/** A connection as the PostgreSQL listener takes it; undefined where there is none of that name. */
export function targetOf(config: LoadedConfig, name: string, rules: MaskingRules): PostgresTarget | undefined {
  const connection = config.connections.get(name)
  if (connection?.kind !== 'postgres') return undefined
  const { kind, tags, mode, host, port, database, user, password, tls, access } = connection
  const ref = { name, kind, tags, mode, access }
  const masking = maskingOf(connection, rules)
  return {
    ...{ ref, host, port, database, user, tls },
    ...(password === undefined ? {} : { password }),
    ...(masking ? { masking } : {}),
  }
}

/** Absent where there is nothing to mask: then every byte passes as it comes. */
function maskingOf(connection: LoadedPostgresConnection, { key, known, metrics }: MaskingRules): Masking | undefined {
  const { name, data_classes: dataClasses, masking } = connection
  if (Object.keys(dataClasses).length === 0 && masking.detect.length === 0) return undefined
  return {
    key,
    styleOf: (dataClass) => styleOf(masking, dataClass),
    dataClasses,
    detect: masking.detect,
    earlier: known.of(connection, dataClasses),
    told: (problems) => {
      for (const kind of classProblemKinds)
        metrics.classProblems.set({ connection: name, kind }, problems.filter((one) => one.kind === kind).length)
    },
  }
}
