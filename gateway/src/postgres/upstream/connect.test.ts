import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningPostgres, startPostgres } from '../../../../demo/postgres.ts'
import type { PostgresTarget } from '../target.ts'
import { connectUpstream, UpstreamError } from './connect.ts'
import { Reader } from './reader.ts'

describe.each(['scram-sha-256', 'md5', 'password', 'trust'] as const)('%s', (auth) => {
  let postgres: RunningPostgres
  beforeAll(async () => {
    postgres = await startPostgres({ auth, ssl: true })
  })
  afterAll(() => postgres.stop())

  const target = (tls: PostgresTarget['tls'], password?: string): PostgresTarget => ({
    ref: { name: 'orders', kind: 'postgres', tags: [], mode: 'enforce' },
    host: postgres.host,
    port: postgres.port,
    database: 'postgres',
    user: postgres.user,
    password: password ?? postgres.password,
    ...(tls ? { tls } : {}),
  })
  const signal = () => AbortSignal.timeout(20_000)

  it('signs in, plainly and by TLS', async () => {
    for (const tls of [undefined, { mode: 'require' }, { mode: 'verify-full', ca: postgres.certificate! }] as const) {
      await using reader = await Reader.open(target(tls), signal())
      expect(
        await reader.query('SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()'),
      ).toEqual([[tls ? 't' : 'f']])
    }
  })

  // With trust no password is wrong.
  it.runIf(auth !== 'trust')('says whose fault it is that it can’t', async () => {
    await expect(connectUpstream(target(undefined, 'wrong'), [], signal())).rejects.toMatchObject({ code: 'sign-in' })
  })

  it('does not trust a certificate that nobody vouches for', async () => {
    const failure = await connectUpstream(target({ mode: 'verify-full' }), [], signal()).catch((error) => error)
    expect(failure).toBeInstanceOf(UpstreamError)
    expect(failure.code).toBe('tls')
  })
})
