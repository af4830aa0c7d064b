import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { writeBundle } from '@countersign/contract/ledger/bundle'
import { formatVerifierKey } from '@countersign/contract/ledger/note'
import { collect, crypto, key, smallWorld, type World } from '@countersign/contract/ledger/testing/world'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compiled } from './testing/cli.ts'

const bin = join(import.meta.dirname, '..', 'bin', 'countersign.js')
const vkey = formatVerifierKey(key('first'))
let folder: string
let world: World
let bundle: Uint8Array
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cli-'))
  world = smallWorld()
  bundle = await collect(writeBundle(crypto, await world.bundle('se_one'), [key('first')]))
  put('whole.tar', bundle)
  put('cut.tar', bundle.subarray(0, bundle.length / 2))
  const changed = Buffer.from(bundle)
  changed.write('select 9 -- se_one', changed.indexOf('select 7 -- se_one'))
  put('changed.tar', changed)
  const content = await world.bundle('se_one')
  const entries = content.entries.filter(({ type }) => type !== 'session.closed')
  put('lacking.tar', await collect(writeBundle(crypto, { ...content, entries }, [key('first')])))
  const odd = { ...content, madeBy: { id: 'x', issuer: 'i', subject: 's', name: '\u001b]0;evil\u0007\u202eada' } }
  put('odd.tar', await collect(writeBundle(crypto, odd, [key('first')])))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const put = (name: string, bytes: Uint8Array) => writeFileSync(join(folder, name), bytes)
function run(...args: string[]) {
  const env = { ...compiled, PATH: process.env.PATH, HOME: folder }
  const { status, stdout, stderr } = spawnSync(process.execPath, [bin, ...args], { cwd: folder, env, encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe('countersign', () => {
  it.each<[args: string[], status: number, words: RegExp]>([
    [['--help'], 0, /usage: countersign COMMAND/],
    [['verify', '--help'], 0, /usage: countersign verify/],
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/],
    [[], 2, /a command is missing; see countersign --help/],
    [['surf'], 2, /there is no command "surf"/],
    [['approvals'], 2, /which gateway\?/], // a group alone is its list, with its options
    [['sessions', '--state', 'open', '--gateway', 'gw.example.com'], 4, /not signed in/],
    [['sessions', '--stat', 'open'], 2, /unknown option '--stat'/],
    [['grants', '--help'], 0, /usage: countersign grants/],
    [['approvals', 'surf'], 2, /there is no command "surf"/],
    [['login', '--devise'], 2, /unknown option '--devise'/],
    [['whoami', 'me'], 2, /too many arguments/],
    [['whoami'], 2, /which gateway\? give --gateway URL or set COUNTERSIGN_GATEWAY/],
    [['whoami', '--gateway', 'ftp://x'], 2, /a gateway is reached by https:/],
    [['whoami', '--gateway', 'http://gw.example.com'], 2, /plain http:\/\/ is for one on this machine only/],
    [['whoami', '--gateway', 'https://a:b@gw.example.com'], 2, /leave name and password out/],
    [['whoami', '--gateway', 'https://gw.example.com', '--ca', 'nowhere.pem'], 2, /--ca nowhere\.pem can't be read/],
    [['whoami', '--gateway', 'https://gw.example.com', '--ca', 'whole.tar'], 2, /holds no certificate/],
    [['whoami', '--gateway', 'gw.example.com'], 4, /not signed in to https:\/\/gw\.example\.com: countersign login/],
    [['login', '--gateway', 'http://127.0.0.1:1'], 1, /nothing answers at 127\.0\.0\.1:1/],
    [['token'], 2, /which connection\?/],
    [['token', 'orders', '--gateway', 'http://127.0.0.1:1'], 4, /nothing says which agent this is/],
    [['token', 'orders', '--gateway', 'http://127.0.0.1:1', '--subject-token-file', 'nowhere'], 2, /no file nowhere/],
    [['token', 'orders', '--gateway', 'http://127.0.0.1:1', '--lifetime', 'long'], 2, /--lifetime takes a duration/],
    [['grants', 'request', 'orders'], 2, /--actions/],
    [['approvals', 'approve', 'ap_x', '--gateway', 'http://127.0.0.1:1'], 2, /nobody is here to be asked/],
    [['approvals', 'approve', 'ap_x', '--yes', '--gateway', 'http://127.0.0.1:1'], 2, /give its --digest/],
    [['approvals', 'approve', 'ap_x', '--yes', '--digest', 'abc'], 2, /--digest takes sha256:/],
    [['approvals', 'approve', 'ap_x', '--yes', '--break-glass'], 2, /--break-glass needs --reason/],
    [['approvals', 'list', '--limit', 'all', '--gateway', 'http://127.0.0.1:1'], 2, /--limit takes a number/],
    [['connections', 'freeze', '--reason', 'x'], 2, /takes the name of a connection, or --everything/],
    [['away', '--until', '2d'], 2, /until when, and who decides meanwhile/],
    [['access', '--at', 'then'], 2, /--at takes a time/],
    [['completion', 'tcsh'], 2, /bash, zsh, fish/],
    [['ssh-askpass', "deploy@gw's passphrase for key: "], 1, /no password prompt/],
    [['ssh-askpass', 'Are you sure you want to continue connecting (yes/no)?'], 1, /the host key is not known/],
    [['verify'], 2, /missing required argument 'file'/],
    [['verify', 'a', 'b'], 2, /too many arguments for 'verify'/],
    [['verify', 'whole.tar', '--keys', 'x'], 2, /--keys/],
    [['verify', 'nowhere.tar'], 2, /nowhere\.tar can't be read: there is no such file/],
    [['verify', '.'], 2, /that is a folder/],
    [['verify', 'whole.tar', '--key', 'mine'], 2, /--key: this is no key/],
  ])('%j exits %i', (args, status, words) => {
    const result = run(...args)
    expect(status === 0 ? result.stdout : result.stderr).toMatch(words)
    if (status !== 0) expect(result.stdout).toBe('')
    expect(result.status).toBe(status)
  })

  it.each<[file: string, key: string[], status: number, words: RegExp]>([
    ['whole.tar', ['--key', vkey], 0, /^whole: whole\.tar\n/],
    ['whole.tar', [], 2, /^can't tell: whole\.tar\n[^\n]+give it with --key\n/],
    [
      'whole.tar',
      ['--key', formatVerifierKey(key('other'))],
      1,
      /^broken: .*\n.*\n\n {2}first +changed \(checkpoint\)/,
    ],
    [
      'changed.tar',
      ['--key', vkey],
      1,
      /first +changed \(recordings\/se_one\.ndjson, entry \d+, byte 700\): recording se_one/,
    ],
    ['changed.tar', [], 1, /^broken: changed\.tar\n/],
    ['cut.tar', ['--key', vkey], 1, /^broken: cut\.tar\n.*\n\n {2}first +changed \(.*byte \d+\)/],
    [
      'lacking.tar',
      ['--key', vkey],
      1,
      /^incomplete: lacking\.tar\n.*\n\n {2}first +missing .*has no end in this bundle/,
    ],
  ])('verify %s %j exits %i', (file, more, status, words) => {
    const result = run('verify', file, ...more)
    expect(result.stderr).toBe('')
    expect(result.stdout).toMatch(words)
    expect(result.status).toBe(status)
  })

  it('says as JSON what it says in lines', () => {
    const { status, stdout } = run('verify', 'changed.tar', '--key', vkey, '--json')
    expect(stdout.split('\n')).toHaveLength(2)
    expect(JSON.parse(stdout)).toMatchObject({
      outcome: 'broken',
      exit: 1,
      integrity: 'broken',
      completeness: 'complete',
      about: { kind: 'session', session: 'se_one' },
      findings: [{ about: 'integrity', where: { recording: 'se_one', offset: 700 } }, { code: 'member-hash' }],
    })
    expect(status).toBe(1)
  })

  it('prints nothing that a terminal obeys', () => {
    for (const flags of [[], ['--json']]) {
      const { stdout } = run('verify', 'odd.tar', '--key', vkey, ...flags)
      expect(stdout).toMatch(
        flags.length > 0 ? /\\u001b\]0;evil\\u0007\\u202eada/ : /\\u\{1b\}\]0;evil\\u\{7\}\\u\{202e\}ada/,
      )
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\u202e]/)
    }
  })

  it('stops at Ctrl-C, and has found out nothing', async () => {
    const pipe = join(folder, 'pipe')
    spawnSync('mkfifo', [pipe])
    const child = spawn(process.execPath, [bin, 'verify', pipe], { stdio: ['ignore', 'pipe', 'pipe'] })
    const said = text(child.stderr)
    const exit = once(child, 'exit')
    // Opened once somebody reads: then it waits for what is not written.
    const to = await open(pipe, 'w')
    child.kill('SIGINT')
    // A read that waits is not to be interrupted: it goes on bit by bit, until nobody reads any more.
    try {
      for (let at = 0; at < bundle.length - 1024; at += 512) await to.write(bundle.subarray(at, at + 512))
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('EPIPE')
    }
    await to.close()
    expect(await said).toBe('countersign: stopped: nothing was found out\n')
    expect((await exit)[0]).toBe(130)
  })
})
