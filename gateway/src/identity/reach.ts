import { BlockList, isIP } from 'node:net'

/** Where an address leads: out into the internet, into private networks, to this machine, or where no issuer is. */
export type Reach = 'public' | 'private' | 'loopback' | 'link-local' | 'reserved'

/** IANA's special-purpose registries (RFC 6890 and what came since); what isn't here is public. */
const ranges: [Reach, 'ipv4' | 'ipv6', string, number][] = [
  ['loopback', 'ipv4', '127.0.0.0', 8],
  ['private', 'ipv4', '10.0.0.0', 8],
  ['private', 'ipv4', '172.16.0.0', 12],
  ['private', 'ipv4', '192.168.0.0', 16],
  ['private', 'ipv4', '100.64.0.0', 10],
  ['link-local', 'ipv4', '169.254.0.0', 16],
  ['reserved', 'ipv4', '0.0.0.0', 8],
  ['reserved', 'ipv4', '192.0.0.0', 24],
  ['reserved', 'ipv4', '192.0.2.0', 24],
  ['reserved', 'ipv4', '198.18.0.0', 15],
  ['reserved', 'ipv4', '198.51.100.0', 24],
  ['reserved', 'ipv4', '203.0.113.0', 24],
  ['reserved', 'ipv4', '224.0.0.0', 4],
  ['reserved', 'ipv4', '240.0.0.0', 4],
  ['loopback', 'ipv6', '::1', 128],
  ['private', 'ipv6', 'fc00::', 7],
  ['link-local', 'ipv6', 'fe80::', 10],
]
const lists = new Map<Reach, BlockList>()
for (const [reach, family, net, bits] of ranges) {
  const list = lists.get(reach) ?? new BlockList()
  list.addSubnet(net, bits, family)
  lists.set(reach, list)
}
/** What is neither here nor above isn't handed out (RFC 4291): a tunnel or a documentation range. */
const globalUnicast = new BlockList()
globalUnicast.addSubnet('2000::', 3, 'ipv6')
const tunnels = new BlockList()
tunnels.addSubnet('2001::', 23, 'ipv6')
tunnels.addSubnet('2001:db8::', 32, 'ipv6')

/** Where an IP address leads (an IPv4 address within an IPv6 one counts as itself); 'reserved' for what is none. */
export function reachOf(address: string): Reach {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '')
  const family = isIP(bare)
  if (family === 0) return 'reserved'
  const inner = family === 6 ? embedded(bare) : undefined
  if (inner !== undefined) return reachOf(inner)
  const kind = family === 6 ? 'ipv6' : 'ipv4'
  for (const [reach, list] of lists) if (list.check(bare, kind)) return reach
  if (kind === 'ipv6' && (!globalUnicast.check(bare, kind) || tunnels.check(bare, kind))) return 'reserved'
  return 'public'
}

/** The IPv4 address that an IPv6 one stands for: mapped and compatible, NAT64 (RFC 6052), 6to4 (RFC 3056). */
function embedded(address: string): string | undefined {
  const groups = expand(address)
  const v4 = (high: number, low: number) => [high >> 8, high & 255, low >> 8, low & 255].join('.')
  const zero = (from: number, to: number) => groups.slice(from, to).every((group) => group === 0)
  if (groups[0] === 0x2002) return v4(groups[1]!, groups[2]!)
  if (groups[0] === 0x64 && groups[1] === 0xff9b && zero(2, 6)) return v4(groups[6]!, groups[7]!)
  if (!zero(0, 5)) return undefined
  if (groups[5] === 0xffff) return v4(groups[6]!, groups[7]!)
  return groups[5] === 0 && (groups[6] !== 0 || groups[7]! > 1) ? v4(groups[6]!, groups[7]!) : undefined
}

function expand(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const text = dotted
    ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
    : address
  const [head = '', tail] = text.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const [first, last] = [groups(head), groups(tail ?? '')]
  return tail === undefined ? first : [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
}

/**
 * Where what an issuer's configuration and documents name may lead. Always out into the internet; further only where the
 * configuration itself says so, by an address that it names or by `network: private`: a document or a name server must
 * not lead the gateway into networks that its authors can't see.
 * @param configured the URLs that stand in the configuration
 */
export function reachFor(configured: readonly string[], network: 'public' | 'private' | undefined): Set<Reach> {
  const reach = new Set<Reach>(['public'])
  if (network === 'private') reach.add('private')
  for (const text of configured) {
    const host = URL.parse(text)?.hostname ?? ''
    if (host.toLowerCase() === 'localhost') reach.add('loopback')
    else if (isIP(host.replace(/^\[|\]$/g, '')) !== 0) reach.add(reachOf(host))
  }
  return reach
}
