import { isLoopback, type ListenAddress } from '../../config/address.ts'

/** Where clients reach a listener. */
export interface Endpoint extends ListenAddress {
  /** The address it listens on, where others come by another one: whoever is on that machine may come by it, too. */
  bound?: string
}

/** Where they reach each, as far as it listens. */
export interface Listeners {
  postgres?: Endpoint | undefined
  ssh?: Endpoint | undefined
  http?: Endpoint | undefined
}

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/

const schemes: Record<string, { listener: keyof Listeners; port: number; kinds: readonly string[] }> = {
  'postgres:': { listener: 'postgres', port: 5432, kinds: ['postgres'] },
  'postgresql:': { listener: 'postgres', port: 5432, kinds: ['postgres'] },
  'ssh:': { listener: 'ssh', port: 22, kinds: ['ssh'] },
  'https:': { listener: 'http', port: 443, kinds: ['kubernetes', 'mcp', 'http'] },
}

/**
 * The connection that a request of the token endpoint is about, and of which kinds it may be.
 * @param given `audience`, its name, or `resource`, the URL by which a client reaches it through this gateway:
 *   `postgres://GW:PORT/NAME`, `ssh://NAME@GW:PORT`, `https://GW:PORT/NAME`; where both are given, they name the same
 * @returns undefined where they name none
 */
export function targetOf(
  given: { audience?: string; resource?: string },
  listeners: Listeners,
): { name: string; kinds?: readonly string[] } | undefined {
  const { audience, resource } = given
  if (audience !== undefined && !NAME.test(audience)) return undefined
  if (resource === undefined) return audience === undefined ? undefined : { name: audience }
  const named = ofResource(resource, listeners)
  if (!named || (audience !== undefined && audience !== named.name)) return undefined
  return named
}

/**
 * Another host's URL must not be taken for ours, though it ends in the name of a connection: who makes a client believe
 * that tokens for theirs are given here would be sent one that is good here (RFC 8707, section 3).
 */
function ofResource(resource: string, listeners: Listeners) {
  if (resource.length > 2000 || resource.includes('#')) return undefined
  const url = URL.parse(resource)
  const scheme = url ? schemes[url.protocol] : undefined
  if (!url || !scheme) return undefined
  const ours = listeners[scheme.listener]
  if (!ours || !hostsOf(ours).some((host) => isSameHost(url.hostname, host))) return undefined
  if ((url.port === '' ? scheme.port : Number(url.port)) !== ours.port) return undefined
  // ssh takes the name as the user; a path is no part of it.
  const name = url.protocol === 'ssh:' ? url.username : url.pathname.split('/')[1]
  if (name === undefined || !NAME.test(name)) return undefined
  return { name, kinds: scheme.kinds }
}

function hostsOf({ host, bound }: Endpoint): string[] {
  if (bound === undefined) return [host]
  return [host, bound === '0.0.0.0' || bound === '::' ? '127.0.0.1' : bound]
}

/** Loopback has many names, and all of them are this machine. */
function isSameHost(one: string, other: string): boolean {
  const bare = (host: string) => host.replace(/^\[|\]$/g, '').toLowerCase()
  return bare(one) === bare(other) || (isLoopback(one) && isLoopback(other))
}
