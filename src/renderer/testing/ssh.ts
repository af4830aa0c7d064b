import type { Effect } from '@countersign/contract/approval'
import type { AgentRef } from '@countersign/contract/identity'
import type { NewRecordingEvent, RecordingEvent, RecordingLine, VerdictRecord } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'

/** Believable connections to hosts: commands with their output, a shell, files, and a shell that goes on. */

const machines = 'https://agents.example.com'
const patch: AgentRef = {
  id: `${machines}#patch-runner`,
  issuer: machines,
  subject: 'patch-runner',
  name: 'patch-runner',
  groups: ['ci-agents'],
  owner: 'Platform',
}
const E = '\x1b'
const hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** `damaged`: its terminals can’t be read. */
export type SshKind = 'none' | 'usual' | 'damaged'

/** `se_ssh1` ran commands, `se_ssh2` had a shell, `se_ssh3` moved files, `se_ssh4` has a shell that goes on. */
export function sshSessions(now: number): Session[] {
  const session = (id: string, minutes: number, lasted: number | undefined, more: Partial<Session>): Session => {
    const openedAt = now - minutes * 60_000
    return {
      id,
      state: lasted === undefined ? 'open' : 'closed',
      connection: 'web-1',
      connectionTags: ['staging'],
      protocol: 'ssh',
      mode: 'enforce',
      agent: patch.id,
      identity: patch,
      client: { address: '10.20.0.31:40112', application: 'OpenSSH_9.2p1' },
      openedAt: new Date(openedAt).toISOString(),
      ...(lasted === undefined
        ? {}
        : { closedAt: new Date(openedAt + lasted).toISOString(), closedBecause: 'the client said goodbye' }),
      counts: { commands: 9, held: 1, denied: 1, errors: 1 },
      recording: { bytes: 61_300, complete: lasted !== undefined },
      ...more,
    } as Session
  }
  return [
    session('se_ssh1', 24, 842_000, { purpose: 'patch nginx, CHG-1182' }),
    session('se_ssh2', 96, 431_000, { counts: { commands: 1, held: 0, denied: 0, errors: 0 } }),
    session('se_ssh3', 190, 74_000, { counts: { commands: 12, held: 1, denied: 2, errors: 1 } }),
    session('se_ssh4', 2, undefined, { counts: { commands: 1, held: 0, denied: 0, errors: 0 } }),
  ]
}

class Story {
  readonly lines: RecordingLine[]
  #seq = 0

  constructor(session: Session) {
    this.lines = [
      {
        type: 'header',
        format: 'countersign-recording/1',
        session: session.id,
        connection: session.connection,
        protocol: 'ssh',
        mode: 'enforce',
        agent: session.identity,
        client: session.client,
        startedAt: session.openedAt,
        resultBound: { rows: 200, bytes: 65_536 },
        outputBound: 128 * 2 ** 20,
      },
    ]
    this.command(120, 'connect', 'connect', 'connect', [], { outcome: 'allow', policies: ['ci-may-connect'] })
  }

  add(t: number, event: NewRecordingEvent): void {
    this.#seq += 1
    this.lines.push({ seq: this.#seq, t, ...event } as RecordingEvent)
  }
  command(t: number, id: string, text: string, kind: string, effects: Effect[], verdict: VerdictRecord): void {
    this.add(t, {
      type: 'command',
      ...{ command: id, text, kind, effects, verdict },
      parameters: [],
      digest: `sha256:${hash}`,
    })
  }
  allow(t: number, id: string, text: string, kind = 'exec', effects: Effect[] = [exec(text)]): void {
    this.command(t, id, text, kind, effects, { outcome: 'allow', policies: [] })
  }
  channel(t: number, id: string, command: string, kind: 'exec' | 'shell' | 'sftp', terminal?: [number, number]): void {
    const size = terminal && { type: 'xterm-256color', columns: terminal[0], rows: terminal[1] }
    this.add(t, { type: 'channel', channel: id, command, kind, ...(size ? { terminal: size } : {}) })
  }
  out(
    t: number,
    channel: string,
    data: string,
    more: { stream?: 'stderr'; notice?: true; masked?: string[] } = {},
  ): void {
    const { stream = 'stdout', ...rest } = more
    this.add(t, { type: 'output', channel, stream, data, ...rest })
  }
  exit(t: number, channel: string, command: string, code: number, bytes: number, ms: number): void {
    const each = <T>(stdin: T, stdout: T, stderr: T) => ({ stdin, stdout, stderr })
    this.add(t, { type: 'exit', channel, code, bytes: each(0, bytes, 0), sha256: each(hash, hash, hash) })
    const status = code === 0 ? 'completed' : 'failed'
    this.add(t, { type: 'result', command, status, tag: `exit ${code}`, ms })
  }
  end(t: number): void {
    this.add(t, { type: 'end', state: 'closed', reason: 'the client said goodbye' })
  }
}

const effect = (action: string, type: string, id: string, command?: Effect['command']): Effect => ({
  ...{ action, resource: { type, id }, kind: 'exec', bounded: true },
  ...(command ? { command } : {}),
})
const exec = (text: string): Effect =>
  effect('ssh:exec', 'Connection', 'web-1', {
    ...{ argv: text, program: text.split(' ')[0]! },
    shell: /[|&;<>$`*?]/.test(text),
  })
const path = (action: 'sftp:read' | 'sftp:write', name: string): Effect => effect(action, 'Path', `web-1${name}`)
const aShell = () => effect('ssh:shell', 'Connection', 'web-1')

export function sshRecordingOf(session: Session): RecordingLine[] {
  const story = new Story(session)
  switch (session.id) {
    case 'se_ssh1':
      commands(story)
      break
    case 'se_ssh2':
      shell(story)
      break
    case 'se_ssh3':
      files(story)
      break
    default:
      goingOn(story)
  }
  return story.lines
}

function commands(story: Story) {
  const run = (t: number, n: number, text: string, output: string, ms: number, code = 0, errors = '') => {
    story.allow(t, `c${n}`, text)
    story.channel(t + 1, `${n}`, `c${n}`, 'exec')
    if (output) story.out(t + 40, `${n}`, output)
    if (errors) story.out(t + 60, `${n}`, errors, { stream: 'stderr' })
    story.exit(t + ms, `${n}`, `c${n}`, code, new TextEncoder().encode(output).length, ms)
  }
  run(
    4_000,
    1,
    'apt-get -s upgrade | head -4',
    `Reading package lists... Done\nCalculating upgrade... Done\nThe following packages will be upgraded:\n  libssl3 ${E}[32mnginx${E}[0m openssl\n`,
    2_100,
  )
  const unpacked = Array.from(
    { length: 60 },
    (_, i) => `Unpacking nginx-module-${String(i).padStart(2, '0')} (1.26.3-1) …\n`,
  )
  run(91_000, 2, 'sudo apt-get install -y nginx', `${unpacked.join('')}Setting up nginx (1.26.3-1) ...\n`, 48_000)
  story.add(242_000, { type: 'hold', command: 'c3', approval: 'ap_ssh', state: 'pending' })
  story.command(314_000, 'c3', 'sudo systemctl restart nginx', 'exec', [exec('sudo systemctl restart nginx')], {
    outcome: 'hold',
    policies: ['restarts-need-a-person'],
  })
  const decided = { by: ['Ben Osei'], reason: 'in the window' }
  story.add(314_001, { type: 'hold', command: 'c3', approval: 'ap_ssh', state: 'approved', ...decided })
  story.add(314_002, { type: 'hold', command: 'c3', approval: 'ap_ssh', state: 'used' })
  story.channel(314_003, '3', 'c3', 'exec')
  story.out(314_004, '3', 'countersign: held for approval ap_ssh (sre, expires 18:39)\n', {
    stream: 'stderr',
    notice: true,
  })
  story.exit(315_400, '3', 'c3', 0, 0, 1_400)
  story.command(349_000, 'c4', 'cat /etc/shadow', 'exec', [exec('cat /etc/shadow')], {
    outcome: 'deny',
    policies: ['no-secrets'],
    reason: 'Password files are nobody’s to read',
  })
  story.add(349_001, {
    type: 'result',
    command: 'c4',
    status: 'refused',
    message: 'denied by policy no-secrets',
    ms: 0,
  })
  run(460_000, 5, 'curl -sI localhost | head -1', 'HTTP/1.1 200 OK\r\n', 130)
  run(
    500_000,
    6,
    'nginx -t',
    '',
    90,
    1,
    'nginx: [emerg] unknown directive "listne" in /etc/nginx/sites-enabled/default:3\nnginx: configuration file /etc/nginx/nginx.conf test failed\n',
  )
  story.allow(698_000, 'c7', 'journalctl -u nginx --since -10m')
  story.channel(698_001, '7', 'c7', 'exec')
  story.out(
    698_050,
    '7',
    `Nov 20 18:33:51 web-1 nginx[911]: reload for ${E}]0;not your title\x07[masked:email], key [masked:secret]\u202e\n`,
    {
      masked: ['email', 'secret'],
    },
  )
  story.exit(698_120, '7', 'c7', 0, 88, 120)
  story.end(842_000)
}

function shell(story: Story) {
  story.allow(300, 's', 'shell', 'shell', [aShell()])
  story.channel(302, '1', 's', 'shell', [80, 24])
  let t = 800
  const prompt = `${E}[1;34mdeploy@web-1${E}[0m:~$ `
  const type = (words: string) => {
    for (const character of words) {
      t += 90
      story.add(t, { type: 'input', channel: '1', data: character })
      story.out(t + 4, '1', character)
    }
    t += 200
    story.add(t, { type: 'input', channel: '1', data: '\r' })
    story.out(t + 3, '1', '\r\n')
  }
  const say = (words: string, after = 60) => {
    t += after
    story.out(t, '1', words)
  }
  say(`${E}]0;deploy@web-1: ~\x07Linux web-1 6.1.0-28-amd64\r\nLast login: Fri Nov 20 17:58:11 2026\r\n${prompt}`)
  t += 1_500
  type('ls --color /srv')
  say(
    `${E}[0m${E}[01;34mapp${E}[0m  ${E}[01;32mdeploy.sh${E}[0m  ${E}[01;31mrelease.tar.gz${E}[0m  notes.txt\r\n${prompt}`,
  )
  t += 2_000
  type('sudo -v')
  say('[sudo] password for deploy: ')
  t += 900
  story.add(t, { type: 'input', channel: '1', hidden: 14 })
  t += 400
  story.add(t, { type: 'input', channel: '1', data: '\r' })
  say(`\r\n${prompt}`, 300)
  t += 61_000
  type('./srv/deploy.sh')
  for (let part = 0; part <= 20; part += 1)
    say(`\r${E}[2K  deploying [${E}[32m${'█'.repeat(part)}${E}[0m${'░'.repeat(20 - part)}] ${part * 5} %`, 250)
  say(`\r\n${E}[1;33mwarning${E}[0m: 2 hosts behind the balancer were slow\r\n${prompt}`)
  story.add(t + 500, { type: 'resize', channel: '1', columns: 110, rows: 30 })
  t += 2_000
  type('less /srv/notes.txt')
  say(
    `${E}[?1049h${E}[H${Array.from({ length: 28 }, (_, i) => `${E}[${i + 1};1H${String(i + 1).padStart(3)}  what to look at after a deploy, part ${i + 1}`).join('')}${E}[30;1H${E}[7m/srv/notes.txt lines 1-28${E}[27m`,
  )
  t += 42_000
  say(`${E}[?1049l${prompt}`)
  t += 1_000
  type('echo "contact ops@example.com"')
  t += 30
  story.out(t, '1', 'contact [masked:email]\r\n', { masked: ['email'] })
  say(prompt)
  t += 230_000
  type('exit')
  story.exit(t + 100, '1', 's', 0, 4_800, t)
  story.end(t + 300)
}

function files(story: Story) {
  story.allow(200, 'f', 'sftp', 'sftp', [])
  story.channel(202, '1', 'f', 'sftp')
  let n = 0
  const did = (t: number, kind: string, text: string, effect: Effect, read: number, written: number, tag: string) => {
    n += 1
    story.allow(t, `f${n}`, text, kind, [effect])
    const transferred = { read, written, ...(read + written > 0 ? { sha256: hash } : {}) }
    story.add(t + 12, {
      ...{ type: 'result', command: `f${n}`, status: 'completed', tag, ms: 12 },
      ...(read + written > 0 ? { transferred } : {}),
    } as NewRecordingEvent)
  }
  did(900, 'list', 'ls /srv/app', path('sftp:read', '/srv/app'), 0, 0, '14 entries')
  did(2_000, 'read', 'get /srv/app/config.yaml', path('sftp:read', '/srv/app/config.yaml'), 4_211, 0, '4211 bytes')
  did(
    9_000,
    'write',
    'put /srv/app/release.tar.gz',
    path('sftp:write', '/srv/app/release.tar.gz'),
    0,
    48_211_733,
    '48211733 bytes',
  )
  for (let i = 0; i < 6; i += 1)
    did(
      22_000 + i * 300,
      'setstat',
      `chmod 644 /srv/app/static/page-${i}.html`,
      path('sftp:write', `/srv/app/static/page-${i}.html`),
      0,
      0,
      '',
    )
  did(31_000, 'rename', 'rename /srv/app/current /srv/app/previous', path('sftp:write', '/srv/app/previous'), 0, 0, '')
  story.command(
    40_000,
    'fd',
    'get /etc/ssl/private/web-1.key',
    'read',
    [path('sftp:read', '/etc/ssl/private/web-1.key')],
    {
      outcome: 'deny',
      policies: ['no-secrets'],
      reason: 'Keys stay where they are',
    },
  )
  story.add(40_001, { type: 'result', command: 'fd', status: 'refused', message: 'denied by policy no-secrets', ms: 0 })
  story.allow(52_000, 'fm', 'get /srv/app/missing', 'read', [path('sftp:read', '/srv/app/missing')])
  story.add(52_004, {
    type: 'result',
    command: 'fm',
    status: 'failed',
    tag: 'no such file',
    message: 'No such file',
    ms: 4,
  })
  story.exit(73_000, '1', 'f', 0, 0, 72_800)
  story.end(74_000)
}

function goingOn(story: Story) {
  story.allow(300, 's', 'shell', 'shell', [aShell()])
  story.channel(302, '1', 's', 'shell', [80, 24])
  story.out(800, '1', `${E}[1;34mdeploy@web-1${E}[0m:~$ tail -f /var/log/nginx/access.log\r\n`)
  for (let i = 0; i < 12; i += 1)
    story.out(2_000 + i * 700, '1', `10.20.0.${i} - - "GET /health HTTP/1.1" ${E}[32m200${E}[0m 15\r\n`)
}
