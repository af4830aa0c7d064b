import type { LoadedConfig } from './config/config.ts'
import type { SshTarget } from './ssh/target.ts'

/** A connection as the SSH listener takes it; undefined where there is none of that name. */
export function sshTargetOf({ connections }: LoadedConfig, name: string): SshTarget | undefined {
  const connection = connections.get(name)
  if (connection?.kind !== 'ssh') return undefined
  const { kind, tags, mode, access, host, port, user, privateKey, password, hostKeys, env, masking } = connection
  return {
    ref: { name, kind, tags, mode, access },
    ...{ host, port, user, hostKeys, env },
    detect: masking.detect,
    ...(privateKey !== undefined && { privateKey }),
    ...(password !== undefined && { password }),
  }
}
