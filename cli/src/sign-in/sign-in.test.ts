import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Me } from '@countersign/contract/identity'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Child, startChild } from '../../../demo/child.ts'
import { completeLogin } from '../../../demo/complete-login.ts'
import { type RunningIssuer, startIssuer } from '../../../demo/issuer.ts'
import { people } from '../../../demo/people.ts'
import { selfSignedPair } from '../../../gateway/src/config/tls.ts'
import { browserAs, newUser, root, type User } from '../testing/cli.ts'

// Each runs many processes, one after another, on machines that do other things, too.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let issuer: RunningIssuer
let gateway: Child
let address: string
let ca: string
let user: User
/** Every line that the gateway logs. */
const logged: string[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-sign-in-'))
  mkdirSync(join(folder, 'policy'))
  ca = join(folder, 'gw.crt')
  issuer = await startIssuer({ people })
  const { pair } = await selfSignedPair(join(folder, 'made'), ['127.0.0.1', 'localhost'])
  writeFileSync(ca, pair.cert)
  writeFileSync(join(folder, 'gw.key'), pair.key)
  const { url, clientId: client_id, resource } = issuer
  const config = {
    data: './data',
    api: { listen: '127.0.0.1:0' },
    tls: { cert: './gw.crt', key: './gw.key' },
    identity: {
      issuers: [
        {
          issuer: url,
          for: 'people',
          audience: 'countersign',
          client_id,
          resource,
          scopes: ['openid', 'profile', 'groups'],
        },
      ],
      roles: { approver: ['oncall-dba'] },
    },
    connections: {},
    policy: './policy',
  }
  writeFileSync(join(folder, 'gateway.json'), JSON.stringify(config))
  const bin = join(root, 'gateway', 'bin', 'countersign-gateway.js')
  gateway = startChild([bin, 'serve', '--config', join(folder, 'gateway.json')], {
    onError: (line) => logged.push(line),
  })
  const [, port] = await gateway.line(/^countersign-gateway ready api=\S+:(\d+)/)
  address = `https://127.0.0.1:${port}`
})
afterAll(async () => {
  await gateway?.stop()
  await issuer?.stop()
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  user = newUser(address)
  return () => user[Symbol.dispose]()
})

const keptFile = () => join(user.config, readdirSync(user.config).find((name) => /^gateway-.*\.json$/.test(name))!)
const kept = () =>
  JSON.parse(readFileSync(keptFile(), 'utf8')) as { tokens: { access: string; refresh: string; expiresAt: number } }
function change(tokens: Partial<{ refresh: string; expiresAt: number }>): void {
  const before = kept()
  writeFileSync(keptFile(), JSON.stringify({ ...before, tokens: { ...before.tokens, ...tokens } }))
}
const signIn = () => user.run(['login', '--ca', ca], { BROWSER: browserAs('ada') })

describe('login', () => {
  it('signs in by the browser, and trusts the certificate that it was given from then on', async () => {
    const untrusted = await user.run(['login'])
    expect(untrusted).toMatchObject({
      code: 1,
      err: expect.stringMatching(/is not trusted on this machine: .* by --ca FILE\n$/),
    })
    expect(await signIn()).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^Ada Lind \(.*#ada\), approver, at https:/),
    })
    const me = Me.parse(await user.json(['whoami']))
    expect(me).toMatchObject({ kind: 'person', name: 'Ada Lind', roles: ['approver'] })
    // Without --gateway or its variable it is the one that was signed in to last.
    expect((await user.run(['whoami'], { COUNTERSIGN_GATEWAY: '' })).code).toBe(0)
  })

  it('keeps what it got from everybody else on this machine', async () => {
    await signIn()
    expect(statSync(user.config).mode & 0o777).toBe(0o700)
    for (const name of readdirSync(user.config))
      expect([name, statSync(join(user.config, name)).mode & 0o777]).toEqual([name, 0o600])
    chmodSync(user.config, 0o755)
    chmodSync(keptFile(), 0o644)
    change({ expiresAt: 0 })
    expect((await user.run(['whoami'])).code).toBe(0)
    expect(statSync(user.config).mode & 0o777).toBe(0o700)
    expect(statSync(keptFile()).mode & 0o777).toBe(0o600)
    expect(readdirSync(user.config).filter((name) => /\.[0-9a-f]{12}$/.test(name))).toEqual([])
  })

  it('signs in by a code on another device, also where nobody sees a browser', async () => {
    // At once, each on a machine of its own: a device asks every five seconds whether it was let in (RFC 8628).
    const bothWays = [['login', '--device'], ['login']].map(async (args) => {
      using other = newUser(address)
      const login = other.start([...args, '--ca', ca])
      const [, code] = await login.said(/enter the code (\S+)/)
      const [, page] = await login.said(/or open (http\S+)/)
      expect(page).toContain(encodeURIComponent(code!))
      await completeLogin(page!, 'ben')
      expect(await login.ended).toMatchObject({ code: 0, out: expect.stringContaining('Ben Osei') })
    })
    await Promise.all(bothWays)
  })

  it('prints the address where no browser is to be opened, and takes only the answer to its own question', async () => {
    const login = user.start(['login', '--no-browser', '--ca', ca])
    const [, page] = await login.said(/open this address in a browser of this machine: (http\S+)/)
    const redirect = new URL(new URL(page!).searchParams.get('redirect_uri')!)
    expect(redirect.hostname).toBe('127.0.0.1')
    expect(new URL(page!).searchParams.get('code_challenge_method')).toBe('S256')
    for (const forged of ['?code=x', '?code=x&state=guess', '/../callback?code=x'])
      expect((await fetch(redirect.href + forged)).status).toBe(404)
    await completeLogin(page!, 'ada')
    expect((await login.ended).code).toBe(0)
  })

  it('says what the issuer said where it refuses', async () => {
    const login = user.start(['login', '--no-browser', '--ca', ca])
    const [, page] = await login.said(/: (http\S+)/)
    const { searchParams } = new URL(page!)
    const state = searchParams.get('state')!
    const words = '\u001b]0;evil\u0007 no'
    const query = new URLSearchParams({ error: 'access_denied', error_description: words, state, iss: issuer.url })
    await fetch(`${searchParams.get('redirect_uri')}?${query}`)
    const { code, err } = await login.ended
    expect(code).toBe(1)
    expect(err).toMatch(/refused: \\u\{1b\}\]0;evil\\u\{7\} no\n$/)
    expect((await user.run(['whoami', '--ca', ca])).code).toBe(4)
  })
})

describe('a sign-in', () => {
  it('is renewed by one of many processes, and none burns its refresh token', async () => {
    await signIn()
    const before = kept().tokens
    change({ expiresAt: 0 })
    const many = await Promise.all(Array.from({ length: 5 }, () => user.run(['whoami'])))
    expect(many.map(({ code, err }) => [code, err])).toEqual(Array.from({ length: 5 }, () => [0, '']))
    const { access, refresh } = kept().tokens
    expect(access).not.toBe(before.access)
    expect(refresh).not.toBe(before.refresh)
    // The issuer rotates, and ends everything when one is used twice: that this still works says that none was.
    change({ expiresAt: 0 })
    expect((await user.run(['whoami'])).code).toBe(0)
  })

  it('that has ended says so: 4', async () => {
    await signIn()
    change({ expiresAt: 0, refresh: 'nothing' })
    expect(await user.run(['whoami'])).toMatchObject({
      code: 4,
      out: '',
      err: expect.stringMatching(/your sign-in has ended \(.*\): countersign login/),
    })
    writeFileSync(keptFile(), '{"gateway"')
    expect((await user.run(['whoami'])).code).toBe(4)
  })

  it('is forgotten here and at the issuer by logout', async () => {
    await signIn()
    const { refresh } = kept().tokens
    expect(await user.run(['logout'])).toMatchObject({
      code: 0,
      err: expect.stringMatching(/^countersign: signed out of https:/),
    })
    expect(readdirSync(user.config).filter((name) => name.endsWith('.json') || name === 'current')).toEqual([])
    const body = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refresh,
      client_id: issuer.clientId,
    })
    expect(await (await fetch(`${issuer.url}/token`, { method: 'POST', body })).json()).toMatchObject({
      error: 'invalid_grant',
    })
    expect((await user.run(['logout'])).err).toMatch(/you were not signed in/)
    expect((await user.run(['approvals', 'list'])).code).toBe(4)
  })

  it('is nowhere in what gateway and command line say', async () => {
    const { out, err } = await signIn()
    const { access, refresh } = kept().tokens
    const said = [out, err, ...logged].join('\n')
    for (const secret of [access, refresh, access.split('.')[2]!]) expect(said).not.toContain(secret)
  })
})
