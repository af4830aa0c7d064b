import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { utils } from './ssh/transport/ssh2.ts'

const bin = join(import.meta.dirname, '..', 'bin', 'countersign-gateway.js')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-cli-'))
  mkdirSync(join(folder, 'policy'))
  writeFileSync(
    join(folder, 'policy', 'orders.cedar'),
    'permit (principal, action == Action::"sql:connect", resource in Connection::"orders");\n',
  )
  writeFileSync(join(folder, 'fresh.json'), '{"data":"./fresh-data"}')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

async function run(args: string[], { program = process.execPath, script = bin, flags = [] as string[] } = {}) {
  const child = spawn(program, [...flags, script, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null, string | null]>,
  ])
  return { stdout, stderr, code, signal }
}

const config = {
  api: { listen: '127.0.0.1:0' },
  postgres: { listen: '127.0.0.1:0' },
  identity: {
    issuers: [
      { issuer: 'https://people.example.com', for: 'people', audience: 'countersign', client_id: 'console' },
      { issuer: 'https://agents.example.com', for: 'agents', audience: 'countersign' },
    ],
    roles: { approver: ['oncall-dba'] },
  },
  connections: { orders: { kind: 'postgres', host: '127.0.0.1', database: 'orders', user: 'app' } },
}
const write = (name: string, content: unknown) =>
  writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content))

describe('command line', () => {
  test.each<[args: string[], code: number, words: RegExp]>([
    [['--help'], 0, /usage: countersign-gateway COMMAND/],
    [['serve', '-h'], 0, /usage: countersign-gateway COMMAND/],
    [['--version'], 0, /^\d+\.\d+\.\d+\n$/],
    [[], 2, /a command is missing; see countersign-gateway --help/],
    [['surf'], 2, /there is no command "surf"/],
    [['serve'], 2, /serve needs --config FILE/],
    [['check', '--config'], 2, /--config/],
    [['check', '--confg', 'x'], 2, /--confg/],
    [['check', '--config', 'x', 'y'], 2, /unexpected "y" after check/],
    [['serve', '--config', 'x', '--log-level', 'loud'], 2, /--log-level is one of/],
    [['policy', 'test'], 2, /policy test takes a folder/],
    [['policy', 'test', 'nowhere'], 2, /nowhere can’t be read .*ENOENT/],
    [['policy', 'backtest', '--config', 'x'], 2, /policy backtest needs --config FILE and --policy DIR/],
    [['policy'], 2, /policy knows/],
    [['classes'], 2, /classes knows: classes suggest/],
    [['classes', 'suggest'], 2, /classes suggest needs --config FILE/],
    [['classes', 'suggest', '--config', 'x', '--rows', 'many'], 2, /--rows is a number from 1 to 100000/],
    [['verify'], 2, /verify needs --config FILE or --bundle FILE, one of them/],
    [['verify', '--config', 'x', '--bundle', 'y'], 2, /one of them/],
    [['verify', '--bundle', 'x', '--key', 'k'], 2, /--key: this is no key/],
    [['verify', '--bundle', 'nowhere.tar'], 2, /nowhere\.tar can't be read: there is no such file/],
    [['verify', '--config', 'nowhere.yaml'], 2, /nowhere\.yaml does not exist/],
    [['verify', '--config', 'fresh.json'], 2, /can't tell: there is no data folder .*fresh-data/],
    [['export', '--config', 'x'], 2, /export needs --config FILE and --session ID/],
    [['export', '--config', 'x', '--session', '../..'], 2, /no id of a session/],
    [['export', '--config', 'fresh.json', '--session', 'se_aaaa'], 1, /There is no ledger in .*fresh-data/],
    [['ledger'], 2, /ledger knows: ledger show-key, ledger rotate-key/],
    [['ledger', 'show-key'], 2, /ledger show-key needs --config FILE/],
    [['ledger', 'show-key', '--config', 'fresh.json'], 1, /there is no ledger in .*fresh-data yet/],
    [['ledger', 'rotate-key', '--config', 'fresh.json'], 2, /rotate-key needs --reason TEXT/],
    [['ledger', 'rotate-key', '--config', 'fresh.json', '--reason', 'yearly'], 1, /there is no ledger/],
  ])('%j exits %i', async (args, code, words) => {
    const result = await run(args)
    expect(code === 0 ? result.stdout : result.stderr).toMatch(words)
    if (code !== 0) expect(result.stdout).toBe('')
    expect(result.code).toBe(code)
  })
})

describe('check', () => {
  test('says what is good', async () => {
    write('good.json', config)
    const { stdout, stderr, code } = await run(['check', '--config', 'good.json'])
    expect(stderr).toBe('')
    expect(stdout.split('\n')).toEqual([
      `configuration is good: ${join(folder, 'good.json')}`,
      '  listens    api 127.0.0.1:0, postgres 127.0.0.1:0',
      '  issuers    https://people.example.com (people), https://agents.example.com (agents)',
      '  connects   orders (postgres 127.0.0.1:5432, tls disable)',
      `  policy     1 policy in ${join(folder, 'policy')}`,
      `  data       ${join(folder, 'countersign-data')}`,
      '  retention  recordings 90d',
      '',
    ])
    expect(code).toBe(0)
    expect(existsSync(join(folder, 'countersign-data'))).toBe(false)
  })

  test('says every problem of the configuration at its line', async () => {
    write('bad.yaml', 'api: { listen: here }\nidentity: { issuers: [] }\nconections: {}\n')
    const { stdout, code } = await run(['check', '--config', 'bad.yaml'])
    expect(stdout.split('\n')).toEqual([
      'bad.yaml:1: api.listen is "here"; an address is HOST:PORT, for example 127.0.0.1:7440',
      'bad.yaml:2: identity.issuers has 0 entries; needs at least 1',
      'bad.yaml:3: unknown key "conections"; did you mean "connections"?',
      '3 problems',
      '',
    ])
    expect(code).toBe(1)
  })

  test('says problems of policies at their lines, and whom a hold asks in vain', async () => {
    mkdirSync(join(folder, 'broken'))
    writeFileSync(join(folder, 'broken', 'a.cedar'), '// fine\npermit (principal, action, resorce);\n')
    write('broken.json', { ...config, policy: './broken' })
    const broken = await run(['check', '--config', 'broken.json'])
    expect(broken.stdout).toMatch(/^broken\/a\.cedar:2: /)
    expect(broken.code).toBe(1)

    mkdirSync(join(folder, 'asking'))
    const hold =
      '@id("writes") @hold("nobody-here")\nforbid (principal, action == Action::"sql:write", resource)\nunless { context has approval };\n'
    writeFileSync(join(folder, 'asking', 'a.cedar'), hold)
    write('asking.json', { ...config, policy: './asking' })
    const asking = await run(['check', '--config', 'asking.json'])
    expect(asking.stdout).toMatch(
      /^asking\/a\.cedar:\d+: warning: writes asks the group "nobody-here", which has no role approver; /m,
    )
    expect(asking.code).toBe(0)
  })

  test('runs the tests of policies, and tells those that fail', async () => {
    mkdirSync(join(folder, 'tested'))
    writeFileSync(join(folder, 'tested', 'a.cedar'), 'permit (principal, action in Action::"sql", resource);\n')
    const tests = (expected: string) =>
      `connections: { orders: {} }\ntests:\n  - { name: reads, agent: { groups: [] }, does: sql:read orders/public.t, expect: ${expected} }\n`
    writeFileSync(join(folder, 'tested', 'a.test.yaml'), tests('deny'))
    write('tested.json', { ...config, policy: './tested' })
    const failing = await run(['check', '--config', 'tested.json'])
    expect(failing.stdout).toBe(
      'tested/a.test.yaml:3: the test "reads" expected deny, and got allow; mend the policy, or the test\n1 problem\n',
    )
    expect(failing.code).toBe(1)
    writeFileSync(join(folder, 'tested', 'a.test.yaml'), tests('allow'))
    const passing = await run(['check', '--config', 'tested.json'])
    expect(passing.stdout).toContain(`  policy     1 policy in ${join(folder, 'tested')}, 1 test passed\n`)
    expect(passing.code).toBe(0)
  })

  test('says where access is to be asked for, and nobody could give it', async () => {
    const { orders } = config.connections
    const connections = { orders: { ...orders, access: 'jit' } }
    mkdirSync(join(folder, 'standing'))
    writeFileSync(join(folder, 'standing', 'a.cedar'), 'permit (principal, action in Action::"sql", resource);\n')
    write('never.json', { ...config, connections, policy: './standing' })
    const never = await run(['check', '--config', 'never.json'])
    expect(never.stdout).toMatch(
      /^never\.json:\d+: warning: orders takes a grant, and no policy could give one: nobody can open it; permit /m,
    )
    const giving = 'permit (principal, action == Action::"access:request", resource in Connection::"orders");\n'
    writeFileSync(join(folder, 'standing', 'b.cedar'), giving)
    write('given.json', { ...config, connections, policy: './standing' })
    expect((await run(['check', '--config', 'given.json'])).stdout).not.toContain('takes a grant')
  })

  test('says which private keys of hosts nobody could sign in with', async () => {
    const { privateKey } = generateKeyPairSync('ed25519')
    const passphrase = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const
    write('web.key', 'this is no key')
    write('locked.key', privateKey.export(passphrase) as string)
    write('good.key', utils.generateKeyPairSync('ed25519').private)
    const host = { kind: 'ssh', host: '10.0.0.7', user: 'deploy', host_key: `SHA256:${'A'.repeat(43)}` }
    const connections = Object.fromEntries(
      ['web', 'locked', 'good'].map((name) => [name, { ...host, private_key: { file: `./${name}.key` } }]),
    )
    write('hosts.json', { ...config, ssh: { listen: '127.0.0.1:0' }, connections })
    const { stdout, code } = await run(['check', '--config', 'hosts.json'])
    const told = stdout.split('\n').filter((line) => line.includes('the private key of this connection can’t be used'))
    expect(told).toHaveLength(2)
    expect(code).toBe(1)
  })

  test('a file that is not there', async () => {
    const { stdout, code } = await run(['check', '--config', 'nowhere.yaml'])
    expect(stdout).toBe(
      `nowhere.yaml:1: the file ${join(folder, 'nowhere.yaml')} does not exist; make it, or correct the path\n1 problem\n`,
    )
    expect(code).toBe(1)
  })
})

describe('on an old Node', () => {
  const pretend = `data:text/javascript,Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.11.1' } })`
  const old = { flags: ['--import', pretend] }

  test('says so, before anything is loaded that would crash', async () => {
    const alone = join(folder, 'alone')
    mkdirSync(alone)
    writeFileSync(join(alone, 'package.json'), '{"type":"module"}')
    cpSync(bin, join(alone, 'countersign-gateway.js'))
    const { stderr, stdout, code } = await run(['--help'], { ...old, script: join(alone, 'countersign-gateway.js') })
    expect(stderr).toMatch(/^countersign-gateway needs Node 24 or newer, this is 20\.11\.1: .*npm ci/)
    expect(stdout).toBe('')
    expect(code).toBe(1)
  })

  test('runs on the one that the project brought along, with its exit code', async () => {
    expect(await run(['--version'], old)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
    expect(await run(['surf'], old)).toMatchObject({ code: 2, stdout: '' })
  })
})
