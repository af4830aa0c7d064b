import type { ConnectionRef } from '../gate/command.ts'
import type { Masking } from '../masking/masking.ts'

/** A PostgreSQL connection of the configuration, its secrets read. */
export interface PostgresTarget {
  ref: ConnectionRef
  host: string
  port: number
  database: string
  user: string
  password?: string
  /** Absent: none on loopback, verify-full anywhere else. `ca` is PEM; absent: the system's. */
  tls?: { mode: 'disable' | 'require' | 'verify-ca' | 'verify-full'; ca?: string }
  /** Rules of masking; absent where nothing is to be masked. */
  masking?: Masking
}
