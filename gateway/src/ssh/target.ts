import type { ConnectionRef } from '../gate/command.ts'
import type { DetectedKind } from '../masking/detectors.ts'

/** An SSH connection of the configuration, its secrets read. */
export interface SshTarget {
  ref: ConnectionRef
  host: string
  port: number
  user: string
  /** PEM or OpenSSH text. */
  privateKey?: string
  password?: string
  /** Fingerprints (`SHA256:…`) of the host keys that are accepted; at least one. */
  hostKeys: readonly string[]
  /** Environment variables that pass beside LANG and LC_*; a name may end in `*`. */
  env: readonly string[]
  /** What is looked for in output; empty: nothing. What is found is redacted, unless its class may be revealed. */
  detect: readonly DetectedKind[]
}
