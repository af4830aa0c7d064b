import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningIssuer, startIssuer } from '../../../demo/issuer.ts'
import type { CliError } from '../errors.ts'
import { actorToken, hasSubject, subjectToken } from './sources.ts'

let folder: string
let issuer: RunningIssuer
let runner: Server
let asked: IncomingMessage[] = []
const pairs = {
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ec: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
}
const put = (name: string, text: string) => {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-subject-'))
  const jwk = (kind: keyof typeof pairs) => ({
    ...pairs[kind].publicKey.export({ format: 'jwk' }),
    kid: kind,
    use: 'sig',
  })
  issuer = await startIssuer({
    agents: [
      { subject: 'by-secret', groups: ['ci'], secret: 'a:secret with +%& of its own' },
      { subject: 'by-rsa', groups: ['ci'], keys: [jwk('rsa')] },
      { subject: 'by-ec', groups: ['ci'], keys: [jwk('ec')] },
    ],
  })
  runner = createServer((request, response) => {
    asked.push(request)
    if (request.headers.authorization !== 'Bearer runner') return response.writeHead(403).end('no')
    response.end(JSON.stringify({ value: 'a.b.c' }))
  }).listen(0, '127.0.0.1')
  await once(runner, 'listening')
})
afterAll(async () => {
  runner?.close()
  await issuer?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as object
const failure = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: CliError) => [error.exit, error.message],
  )
const clientOf = (subject: string) => ({
  COUNTERSIGN_ISSUER: issuer.url,
  COUNTERSIGN_CLIENT_ID: subject,
  COUNTERSIGN_RESOURCE: issuer.resource,
})

describe('the agent’s own token', () => {
  it.each<[says: string, options: () => object, env: () => NodeJS.ProcessEnv, text: string, type: string]>([
    [
      'a file',
      () => ({ subjectTokenFile: put('jwt', 'a.b.c\n') }),
      () => ({ COUNTERSIGN_SUBJECT_TOKEN: 'x.y.z' }),
      'a.b.c',
      'jwt',
    ],
    [
      'a file that is named by a variable',
      () => ({}),
      () => ({ COUNTERSIGN_SUBJECT_TOKEN_FILE: put('two', 'a.b.c') }),
      'a.b.c',
      'jwt',
    ],
    ['a variable', () => ({}), () => ({ COUNTERSIGN_SUBJECT_TOKEN: ' x.y.z\n' }), 'x.y.z', 'jwt'],
    ['an opaque one', () => ({}), () => ({ COUNTERSIGN_SUBJECT_TOKEN: 'opaque-1' }), 'opaque-1', 'access_token'],
    [
      'an assertion',
      () => ({}),
      () => ({ COUNTERSIGN_SUBJECT_TOKEN: '<saml:Assertion/>' }),
      '<saml:Assertion/>',
      'saml2',
    ],
    [
      'an assertion in base64url',
      () => ({}),
      () => ({ COUNTERSIGN_SUBJECT_TOKEN: Buffer.from('<Assertion>').toString('base64url') }),
      'PEFzc2VydGlvbj4',
      'saml2',
    ],
    [
      'one that says what it is',
      () => ({ subjectTokenType: 'id_token' }),
      () => ({ COUNTERSIGN_SUBJECT_TOKEN: 'x.y.z' }),
      'x.y.z',
      'id_token',
    ],
  ])('is read from %s', async (_says, options, env, text, type) => {
    expect(hasSubject(options(), env())).toBe(true)
    expect(await subjectToken(options(), env())).toMatchObject({ text, type })
  })

  it.each<[says: string, env: () => NodeJS.ProcessEnv, exit: number, words: RegExp]>([
    ['nothing', () => ({}), 4, /nothing says which agent this is/],
    ['a file that is not there', () => ({ COUNTERSIGN_SUBJECT_TOKEN_FILE: '/nowhere' }), 2, /no file \/nowhere/],
    ['a folder', () => ({ COUNTERSIGN_SUBJECT_TOKEN_FILE: folder }), 2, /is a folder/],
    ['an empty file', () => ({ COUNTERSIGN_SUBJECT_TOKEN_FILE: put('empty', '\n') }), 4, /is empty/],
    [
      'a client without its issuer',
      () => ({ COUNTERSIGN_CLIENT_ID: 'x', COUNTERSIGN_CLIENT_SECRET: 'y' }),
      2,
      /need COUNTERSIGN_ISSUER/,
    ],
    ['a client without a secret', () => clientOf('by-secret'), 4, /need COUNTERSIGN_CLIENT_SECRET_FILE/],
    [
      'a wrong secret',
      () => ({ ...clientOf('by-secret'), COUNTERSIGN_CLIENT_SECRET: 'guess' }),
      4,
      /gives this client no token/,
    ],
    [
      'a key that is none',
      () => ({ ...clientOf('by-rsa'), COUNTERSIGN_CLIENT_KEY_FILE: put('no-key', 'PRIVATE text') }),
      2,
      /holds no private key: (?!.*PRIVATE)/,
    ],
    [
      'another’s key',
      () => ({ ...clientOf('by-rsa'), COUNTERSIGN_CLIENT_KEY_FILE: put('ec2', pem('ec')) }),
      4,
      /gives this client no token/,
    ],
    [
      'an issuer that is not there',
      () => ({ ...clientOf('by-secret'), COUNTERSIGN_ISSUER: 'http://127.0.0.1:2', COUNTERSIGN_CLIENT_SECRET: 'x' }),
      1,
      /issuer can't be asked: nothing answers at 127\.0\.0\.1:2/,
    ],
    [
      'an issuer in the clear',
      () => ({
        ...clientOf('by-secret'),
        COUNTERSIGN_ISSUER: 'http://idp.example.com',
        COUNTERSIGN_CLIENT_SECRET: 'x',
      }),
      1,
      /only https:\/\/ is safe/,
    ],
    [
      'a job that may not',
      () => ({ ACTIONS_ID_TOKEN_REQUEST_URL: address(), ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'other' }),
      1,
      /needs permissions: id-token: write/,
    ],
    ['a job without a token', () => ({ ACTIONS_ID_TOKEN_REQUEST_URL: address() }), 4, /id-token: write/],
    [
      'a runner in the clear',
      () => ({ ACTIONS_ID_TOKEN_REQUEST_URL: 'http://runner.example', ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'x' }),
      2,
      /is not https/,
    ],
  ])('%s: says what to do', async (_says, env, exit, words) => {
    expect(await failure(subjectToken({}, env()))).toEqual([exit, expect.stringMatching(words)])
  })

  it.each<[subject: string, proof: () => NodeJS.ProcessEnv]>([
    ['by-secret', () => ({ COUNTERSIGN_CLIENT_SECRET: 'a:secret with +%& of its own' })],
    ['by-secret', () => ({ COUNTERSIGN_CLIENT_SECRET_FILE: put('secret', 'a:secret with +%& of its own\n') })],
    ['by-rsa', () => ({ COUNTERSIGN_CLIENT_KEY_FILE: put('rsa.pem', pem('rsa')) })],
    [
      'by-ec',
      () => ({
        COUNTERSIGN_CLIENT_KEY_FILE: put(
          'ec.json',
          JSON.stringify({ ...pairs.ec.privateKey.export({ format: 'jwk' }), kid: 'ec' }),
        ),
      }),
    ],
  ])('is given to the client %s', async (subject, proof) => {
    const { text, type } = await subjectToken({}, { ...clientOf(subject), ...proof() })
    expect([claimsOf(text), type]).toEqual([expect.objectContaining({ sub: subject, aud: 'countersign' }), 'jwt'])
  })

  it('is asked of the runner of a GitHub job, for the audience that the gateway wants', async () => {
    asked = []
    const env = { ACTIONS_ID_TOKEN_REQUEST_URL: `${address()}?api-version=2`, ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'runner' }
    expect(await subjectToken({}, env)).toMatchObject({ text: 'a.b.c', type: 'jwt', from: 'GitHub Actions' })
    expect(await subjectToken({}, { ...env, COUNTERSIGN_AUDIENCE: 'gw' })).toMatchObject({ text: 'a.b.c' })
    expect(asked.map(({ url }) => url)).toEqual([
      '/token?api-version=2&audience=countersign',
      '/token?api-version=2&audience=gw',
    ])
  })

  it('may have an actor beside it', () => {
    expect(actorToken(undefined, {})).toBeUndefined()
    expect(actorToken(undefined, { COUNTERSIGN_ACTOR_TOKEN: 'a.b.c' })).toMatchObject({ text: 'a.b.c', type: 'jwt' })
    expect(actorToken(put('actor', 'x.y.z\n'), { COUNTERSIGN_ACTOR_TOKEN: 'a.b.c' })).toMatchObject({ text: 'x.y.z' })
  })
})

const pem = (kind: keyof typeof pairs) => pairs[kind].privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
const address = () => `http://127.0.0.1:${(runner.address() as AddressInfo).port}/token`
