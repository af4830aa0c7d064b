import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bin } from '../testing/cli.ts'
import { postgresEnvironment } from './postgres.ts'
import { type PrivateFolder, privateFolder } from './private-folder.ts'
import { configText, sshSetting } from './ssh.ts'

let place: string
let folder: PrivateFolder
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'countersign-ssh-'))
  folder = privateFolder({ XDG_RUNTIME_DIR: place })
})
afterAll(() => {
  folder[Symbol.dispose]()
  rmSync(place, { recursive: true, force: true })
})

const gateway = new URL('https://gw.example.com')
const setting = { listener: '0.0.0.0:7422', gateway, connection: 'web-1', token: 'cst_secret', self: bin }

/** What OpenSSH itself makes of a configuration. */
function understood(config: string, host: string): Map<string, string[]> {
  const { stdout, stderr, status } = spawnSync('ssh', ['-T', '-G', '-F', config, host], { encoding: 'utf8' })
  expect([status, stderr]).toEqual([0, ''])
  const settings = new Map<string, string[]>()
  for (const line of stdout.trim().split('\n')) {
    const [name, ...value] = line.split(' ')
    settings.set(name!, [...(settings.get(name!) ?? []), value.join(' ')])
  }
  return settings
}

describe('an SSH client', () => {
  it('is told who the gateway is, where the gateway says so, and takes no other key', () => {
    const hostKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ'
    using own = privateFolder({ XDG_RUNTIME_DIR: place })
    using other = privateFolder({ XDG_RUNTIME_DIR: place })
    const { command } = sshSetting({ ...setting, hostKey }, own, ['ssh'])
    const settings = understood(command[2]!, 'web-1')
    const known = settings.get('userknownhostsfile')![0]!
    expect(readFileSync(known, 'utf8')).toBe(`[gw.example.com]:7422 ${hostKey}\n`)
    expect(settings.get('hostkeyalias')).toEqual(['[gw.example.com]:7422'])
    expect(settings.get('stricthostkeychecking')).toEqual(['true'])
    expect(settings.get('globalknownhostsfile')).toEqual(['/dev/null'])
    const without = understood(sshSetting(setting, other, ['ssh']).command[2]!, 'web-1')
    expect(without.get('userknownhostsfile')![0]).not.toBe(known)
  })

  it('is led to the gateway by the name of the connection, with the token behind a prompt', () => {
    const { command, changes } = sshSetting({ ...setting, purpose: 'look "at" logs', hold: 'fail' }, folder, ['ssh'])
    expect(command).toEqual(['ssh', '-F', join(folder.path, 'ssh_config'), '-oBatchMode=no', 'web-1'])
    const settings = understood(command[2]!, 'web-1')
    expect(
      Object.fromEntries(
        ['hostname', 'port', 'user', 'pubkeyauthentication', 'forwardagent', 'numberofpasswordprompts'].map((name) => [
          name,
          settings.get(name)![0],
        ]),
      ),
    ).toEqual({
      hostname: 'gw.example.com',
      port: '7422',
      user: 'web-1',
      pubkeyauthentication: 'false',
      forwardagent: 'no',
      numberofpasswordprompts: '1',
    })
    expect(settings.get('setenv')).toEqual(['COUNTERSIGN_PURPOSE=look "at" logs', 'COUNTERSIGN_HOLD=fail'])
    expect(settings.get('preferredauthentications')).toEqual(['password,keyboard-interactive'])
    // Others go where they went before.
    expect(understood(command[2]!, 'elsewhere.example').get('hostname')).toEqual(['elsewhere.example'])

    const env = { PATH: process.env.PATH, ...changes }
    const ask = (prompt: string) => spawnSync(changes.SSH_ASKPASS!, [prompt], { env, encoding: 'utf8' })
    for (const prompt of ["web-1@[gw.example.com]:7422's password: ", '(web-1@[gw.example.com]:7422) Password: '])
      expect(ask(prompt)).toMatchObject({ status: 0, stdout: 'cst_secret\n' })
    for (const prompt of [
      // Other hosts on the way or beside it, and servers that ask in our words.
      "ada@jump.example.com's password: ",
      "(web-1@elsewhere.example) web-1@[gw.example.com]:7422's password: ",
      "Enter passphrase for key '/home/x/.ssh/id': ",
      "The authenticity of host 'gw' can't be established.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ",
    ])
      expect(ask(prompt)).toMatchObject({ status: 1, stdout: '' })
    expect(JSON.stringify([command, { ...changes }])).not.toContain('cst_secret')
    expect(statSync(changes.COUNTERSIGN_SSH_TOKEN_FILE!).mode & 0o777).toBe(0o600)
  })

  it.each<[string[], unknown[]]>([
    [
      ['ssh', 'web-1', 'uptime'],
      ['ssh', '-F', expect.any(String), '-oBatchMode=no', 'web-1', 'uptime'],
    ],
    [
      ['/usr/bin/scp', 'a', 'web-1:'],
      ['/usr/bin/scp', '-F', expect.any(String), '-oBatchMode=no', 'a', 'web-1:'],
    ],
    [
      ['rsync', '-a', '.', 'web-1:'],
      ['rsync', '-a', '.', 'web-1:'],
    ],
  ])('%j is run as its own', (given, command) => {
    using own = privateFolder({ XDG_RUNTIME_DIR: place })
    const { command: whole, changes } = sshSetting(setting, own, given)
    expect(whole).toEqual(command)
    expect(changes.RSYNC_RSH).toBe(`ssh -F '${join(own.path, 'ssh_config')}'`)
    expect(readFileSync(join(own.path, 'ssh_config'), 'utf8')).not.toContain('SetEnv')
  })

  it('is Ansible, which forbids passwords unless somebody has allowed them before', () => {
    using own = privateFolder({ XDG_RUNTIME_DIR: place })
    const { changes } = sshSetting(setting, own, ['ansible', '-m', 'ping', 'web-1'])
    // As Ansible puts them together where no password is configured.
    const later =
      '-o KbdInteractiveAuthentication=no -o PreferredAuthentications=publickey -o PasswordAuthentication=no'
    const given = spawnSync('sh', ['-c', `ssh -T -G ${changes.ANSIBLE_SSH_ARGS} ${later} web-1`], { encoding: 'utf8' })
    expect([given.status, given.stderr]).toEqual([0, ''])
    expect(given.stdout.split('\n')).toEqual(
      expect.arrayContaining([
        'hostname gw.example.com',
        'user web-1',
        'passwordauthentication yes',
        'preferredauthentications publickey,password,keyboard-interactive',
      ]),
    )
  })

  it.each([
    ['ssh uptime', 'web-1 uptime'],
    ['ssh -tt -o LogLevel=ERROR -vp22 tail -f /var/log/x', '-tt -o LogLevel=ERROR -vp22 web-1 tail -f /var/log/x'],
    ['ssh -NL 80:localhost:80', '-NL 80:localhost:80 web-1'],
    ['ssh ada@web-1 web-2', 'ada@web-1 web-2'],
    ['ssh ssh://web-1:7422 ls', 'ssh://web-1:7422 ls'],
    ['ssh -- ls', '-- web-1 ls'],
    ['sftp -b batch', '-b batch web-1'],
    ['sftp web-1:/srv', 'web-1:/srv'],
  ])('%s goes to the connection, whoever names it', (given, args) => {
    using own = privateFolder({ XDG_RUNTIME_DIR: place })
    const { command } = sshSetting(setting, own, given.split(' '))
    expect(command.slice(4)).toEqual(args.split(' '))
  })

  it('is told any purpose, and nothing but it', () => {
    const purpose = fc.string({
      unit: fc.constantFrom('a', ' ', '"', "'", '\\', '\n', '#', '=', '%', '$', 'ü'),
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(purpose, (text) => {
        using own = privateFolder({ XDG_RUNTIME_DIR: place })
        const config = own.write('config', configText({ connection: 'web-1', host: 'gw', port: '22', purpose: text }))
        const settings = understood(config, 'web-1')
        expect(settings.get('setenv')).toEqual([`COUNTERSIGN_PURPOSE=${text.replace(/[\r\n]+/g, ' ')}`])
        expect(settings.get('hostname')).toEqual(['gw'])
      }),
      { seed: 3, numRuns: 40 },
    )
  })

  it.each([
    'gw\n  ProxyCommand touch pwned\n#:22',
    'gw -oProxyCommand=x:22',
    '-oProxyCommand=x:22',
    '/tmp/socket:5432',
    'gw.example.com,evil.example:5432',
    '@abstract:5432',
    'gw.example.com:22\n',
    'gw.example.com:0x16',
    'gw.example.com',
  ])('is led nowhere by a gateway that says that it is at %j', (listener) => {
    using own = privateFolder({ XDG_RUNTIME_DIR: place })
    expect(() => sshSetting({ ...setting, listener }, own, ['ssh'])).toThrow(/is no HOST:PORT/)
    expect(() =>
      postgresEnvironment({ ...setting, listener, tls: false, ca: undefined, inEnvironment: false }, own, {}),
    ).toThrow(/is no HOST:PORT/)
  })

  it('is OpenSSH, which this is about', () => {
    expect(execFileSync('sh', ['-c', 'ssh -V 2>&1'], { encoding: 'utf8' })).toMatch(/^OpenSSH/)
  })
})
