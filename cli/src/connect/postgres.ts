import { getCACertificates } from 'node:tls'
import { hostAndPort } from './address.ts'
import type { PrivateFolder } from './private-folder.ts'

export interface PostgresSetting {
  /** HOST:PORT */
  listener: string
  tls: boolean
  gateway: URL
  ca: string | undefined
  connection: string
  token: string
  purpose?: string | undefined
  hold?: 'wait' | 'fail' | undefined
  /** PGPASSWORD instead of a file, for clients that read no PGPASSFILE. */
  inEnvironment: boolean
}

/** What libpq reads, and would lead it elsewhere or past us; see its documentation, section 32.15. */
const others = [
  'PGHOSTADDR',
  'PGSERVICE',
  'PGSERVICEFILE',
  'PGPASSWORD',
  'PGPASSFILE',
  'PGREQUIREAUTH',
  'PGREQUIREPEER',
  'PGREQUIRESSL',
  'PGSSLNEGOTIATION',
  'PGSSLCERT',
  'PGSSLKEY',
  'PGSSLCRL',
  'PGSSLCRLDIR',
  'PGSSLROOTCERT',
  'PGCHANNELBINDING',
  'PGTARGETSESSIONATTRS',
  'PGLOADBALANCEHOSTS',
]

/**
 * The environment of a PostgreSQL client whose connection is the one asked for. The token is in a file that only this user
 * reads and that is good for this host and port alone: nobody sees it in a list of processes.
 */
export function postgresEnvironment(
  { listener, tls, gateway, ca, connection, token, purpose, hold, inEnvironment }: PostgresSetting,
  folder: PrivateFolder,
  env: NodeJS.ProcessEnv,
): Record<string, string | undefined> {
  const { host, port } = hostAndPort(listener, gateway)
  const settings = { 'countersign.purpose': purpose, 'countersign.hold': hold }
  const options = Object.entries(settings).flatMap(([name, value]) =>
    value === undefined ? [] : [`-c ${name}=${optionText(value)}`],
  )
  return {
    ...Object.fromEntries(others.map((name) => [name, undefined])),
    PGHOST: host,
    PGPORT: port,
    PGDATABASE: connection,
    // Who it is says the token; without a name libpq would take that of this machine's user.
    PGUSER: env.PGUSER || connection,
    PGGSSENCMODE: 'disable',
    PGOPTIONS: [env.PGOPTIONS, ...options].filter((one) => one !== undefined && one !== '').join(' ') || undefined,
    ...(inEnvironment
      ? { PGPASSWORD: token }
      : { PGPASSFILE: folder.write('pgpass', `${[host, port, '*', '*', token].map(passText).join(':')}\n`) }),
    ...(tls
      ? { PGSSLMODE: 'verify-full', PGSSLROOTCERT: folder.write('roots.pem', roots(ca)) }
      : { PGSSLMODE: 'prefer' }),
  }
}

/** As the server splits what is in `options`: white space ends a word, a backslash takes the next character as it is. */
export function optionText(value: string): string {
  return value.replace(/[\s\\]/g, (one) => `\\${one}`)
}

/** A field of a password file: colons and backslashes are escaped. A lone asterisk stands for anything. */
const passText = (field: string): string => (field === '*' ? field : field.replace(/[\\:]/g, (one) => `\\${one}`))

/** What this machine trusts, and what was given by --ca: libpq takes one file, and older ones know no `system`. */
const roots = (ca: string | undefined): string =>
  `${[...getCACertificates('default'), ...(ca === undefined ? [] : [ca.trim()])].join('\n')}\n`
