import { CliError, exits } from '../errors.ts'
import { shown } from '../terminal/text.ts'

/**
 * Where a listener is, as the gateway says it: its host is the gateway's own where that is any address. Nothing but a name
 * or an address and a port: it gets into files and variables of clients, where a line break, a comma, a leading slash or
 * hyphen would say more than that.
 * @throws CliError 126 where it is anything else
 */
export function hostAndPort(listener: string, gateway: URL): { host: string; port: string } {
  const at = listener.lastIndexOf(':')
  const named = listener.slice(0, at).replace(/^\[|\]$/g, '')
  const anywhere = named === '' || named === '0.0.0.0' || named === '::'
  const host = anywhere ? gateway.hostname.replace(/^\[|\]$/g, '') : named
  const port = listener.slice(at + 1)
  if (!/^[a-z0-9:][a-z0-9.:_-]{0,252}$/i.test(host) || !/^[1-9]\d{0,4}$/.test(port))
    throw new CliError(
      exits.notRun,
      `the gateway says that its listener is at ${shown(listener)}, which is no HOST:PORT: tell its operator`,
    )
  return { host, port }
}
