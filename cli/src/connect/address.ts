/** Where a listener is, as the gateway says it: its host is the gateway's own where that is any address. */
export function hostAndPort(listener: string, gateway: URL): { host: string; port: string } {
  const at = listener.lastIndexOf(':')
  const named = listener.slice(0, at).replace(/^\[|\]$/g, '')
  const anywhere = named === '' || named === '0.0.0.0' || named === '::'
  return { host: anywhere ? gateway.hostname.replace(/^\[|\]$/g, '') : named, port: listener.slice(at + 1) }
}
