import type { NewRecordingEvent, RecordingLine } from '@countersign/contract/recording'

/**
 * Recordings of SSH as a gateway makes them. Always the same for the same numbers.
 */

const E = '\x1b'
const files = 'README.md,main.ts,orders.csv,backup.tar.gz,server.log,notes.txt,kaffee.json,日本語.txt'.split(',')
const words = 'kettle scale tuesday refund voucher grinder filter monthly wholesale courier doorstep'.split(' ')

type Event = NewRecordingEvent

/** Numbers an endless series, the same each time. */
function dice(seed: number): (below: number) => number {
  let random = seed
  return (below) => {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648
    return Math.floor((random / 2_147_483_648) * below)
  }
}

function begun(session: string): RecordingLine & { type: 'header' } {
  return {
    type: 'header',
    format: 'countersign-recording/1',
    session,
    connection: 'web-1',
    protocol: 'ssh',
    mode: 'enforce',
    agent: {
      id: 'ag_ops',
      issuer: 'https://issuer.test',
      subject: 'ops',
      name: 'ops-runner',
      groups: [],
      owner: 'ops',
    },
    client: { address: '127.0.0.1:5000', application: 'OpenSSH_9.2' },
    startedAt: '2026-11-20T08:00:00.000Z',
    resultBound: { rows: 100, bytes: 65_536 },
    outputBound: 128 * 1024 * 1024,
  }
}

const digest = `sha256:${'0'.repeat(64)}`

function command(id: string, kind: string, text: string, outcome: 'allow' | 'deny' | 'hold' = 'allow'): Event {
  const action = kind.startsWith('sftp') ? 'sftp:read' : `ssh:${kind === 'shell' ? 'shell' : 'exec'}`
  const resource = kind.startsWith('sftp')
    ? { type: 'Path', id: `web-1${text.slice(text.indexOf('/'))}` }
    : { type: 'Connection', id: 'web-1' }
  return {
    type: 'command',
    command: id,
    text,
    parameters: [],
    kind,
    effects: [{ action, resource, kind, bounded: true }],
    digest,
    verdict: { outcome, policies: outcome === 'deny' ? ['no-rm'] : ['ops-agents'] },
  }
}

/** Bytes as a recording has them: text where they are whole UTF-8. */
function dataOf(bytes: Buffer): string | { base64: string } {
  const text = bytes.toString('utf8')
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString('base64') }
}

const streams = <T>(each: T) => ({ stdin: each, stdout: each, stderr: each })
const exit = (channel: string, code: number): Event => ({
  type: 'exit',
  channel,
  code,
  bytes: streams(0),
  sha256: streams('0'.repeat(64)),
})

/** Events in order with their pauses (milliseconds), as lines. */
function* numbered(session: string, events: Iterable<[number, Event]>): Generator<RecordingLine> {
  yield begun(session)
  let seq = 0
  let t = 0
  for (const [pause, event] of events) {
    t += pause
    seq += 1
    yield { seq, t: Math.round(t * 1000) / 1000, ...event } as RecordingLine
  }
}

/**
 * A person's or an agent's shell: commands typed key by key, listings, logs, progress, an editor on the other screen, a
 * monitor that draws again and again, resizes, a password, pauses. Packets cut it anywhere, characters and sequences too.
 * @param bytes what its lines come to, about
 */
export function* shellRecording(session: string, bytes: number): Generator<RecordingLine> {
  yield* numbered(session, shell(bytes))
}

function* shell(bytes: number): Generator<[number, Event]> {
  const next = dice(12_345)
  const channel = '1'
  let [columns, rows] = [120, 36]
  let spent = 0
  yield [1, command('c0', 'connect', 'connect to web-1')]
  yield [1, { type: 'result', command: 'c0', status: 'completed', ms: 3 }]
  yield [2, command('c1', 'shell', 'shell')]
  yield [
    1,
    { type: 'channel', channel, command: 'c1', kind: 'shell', terminal: { type: 'xterm-256color', columns, rows } },
  ]

  function* output(text: string): Generator<[number, Event]> {
    const all = Buffer.from(text)
    for (let at = 0; at < all.length; ) {
      const size = next(4) === 0 ? 1 + next(60) : 512 + next(16_000)
      const piece = all.subarray(at, at + size)
      at += size
      const data = dataOf(piece)
      spent += JSON.stringify(data).length + 90
      yield [next(6), { type: 'output', channel, stream: 'stdout', data }]
    }
  }
  function* typed(line: string, hidden = false): Generator<[number, Event]> {
    for (const key of `${line}\r`) {
      spent += 160
      if (hidden) yield [60 + next(90), { type: 'input', channel, hidden: 1 }]
      else {
        yield [60 + next(90), { type: 'input', channel, data: key }]
        yield* output(key === '\r' ? '\r\n' : key)
      }
    }
  }
  const prompt = () => `${E}]0;ops@web-1: ~${'\x07'}${E}[01;32mops@web-1${E}[00m:${E}[01;34m~${E}[00m$ `

  for (let i = 0; spent < bytes; i++) {
    yield* output(prompt())
    if (i % 7 === 6) yield [3000 + next(60_000), { type: 'signal', channel, signal: 'WINCH' }]
    switch (next(7)) {
      case 0: {
        yield* typed('ls -l --color')
        let text = ''
        for (let n = 0; n < 20 + next(60); n++)
          text += `-rw-r--r-- 1 ops ops ${String(next(1e9)).padStart(10)} Nov 20 08:${10 + next(50)} ${E}[0${1 + next(2)};3${1 + next(6)}m${files[next(files.length)]}${E}[0m\r\n`
        yield* output(text)
        break
      }
      case 1: {
        yield* typed(`tail -n 4000 server.log | grep ${words[next(words.length)]}`)
        let text = ''
        const many = Math.min(4000, Math.max(200, (bytes - spent) / 400))
        for (let n = 0; n < many; n++)
          text += `2026-11-20T08:00:${String(n % 60).padStart(2, '0')}Z ${E}[2minfo${E}[0m request=${next(1e9)} the ${words[next(words.length)]} of ${words[next(words.length)]} took ${next(900)} ms, ${'█'.repeat(next(20))}\r\n`
        yield* output(text)
        break
      }
      case 2: {
        yield* typed('make all')
        for (let n = 0; n <= 100; n += 2)
          yield* output(
            `\r${E}[K[${'#'.repeat(n / 4).padEnd(25)}] ${String(n).padStart(3)} % compiling ${files[next(files.length)]}`,
          )
        yield* output('\r\n')
        break
      }
      case 3: {
        yield* typed('vim notes.txt')
        let text = `${E}[?1049h${E}[?1h${E}=${E}[1;${rows}r${E}[?12h${E}[?12l${E}[27m${E}[m${E}[H${E}[2J${E}[?25l`
        for (let y = 1; y < rows; y++)
          text += `${E}[${y};1H${E}[33m${String(y).padStart(3)} ${E}[m${words[next(words.length)]} 漢字 ${'é'.repeat(next(30))}`
        text += `${E}[${rows};1H${E}[7m"notes.txt" ${rows} lines${E}[m${E}[1;1H${E}[?25h`
        for (let n = 0; n < 30; n++)
          text += `${E}[1;${rows - 1}r${E}[${rows - 1};1H\n${E}[${rows - 1};1H${E}[33m${n}${E}[m scrolled ${words[next(words.length)]}${E}[1;${rows}r${E}[${1 + next(rows - 1)};${1 + next(40)}H`
        yield* output(text)
        yield* typed(':wq')
        yield* output(`${E}[?1l${E}>${E}[?1049l`)
        break
      }
      case 4: {
        yield* typed('top -b -n 20')
        for (let n = 0; n < 20; n++) {
          let text = `${E}[H${E}[2J${E}(0lqqqqqk${E}(B${E}[7m  PID USER   %CPU COMMAND ${E}[K${E}[0m\r\n`
          for (let y = 0; y < rows - 4; y++)
            text += `${String(next(30_000)).padStart(5)} ops    ${String(next(1000) / 10).padStart(4)} ${words[next(words.length)]}${E}[K\r\n`
          yield* output(text)
          yield [1000, { type: 'input', channel, data: ' ' }]
        }
        break
      }
      case 5: {
        yield* typed('sudo systemctl restart shop')
        yield* output('[sudo] password for ops: ')
        yield* typed('a secret of theirs', true)
        yield* output('\r\n')
        break
      }
      default: {
        columns = 60 + next(140)
        rows = 20 + next(40)
        spent += 90
        yield [800, { type: 'resize', channel, columns, rows }]
      }
    }
  }
  yield* output(prompt())
  yield* typed('exit')
  yield [5, exit(channel, 0)]
  yield [1, { type: 'result', command: 'c1', status: 'completed', tag: 'exit 0', ms: 10 }]
  yield [1, { type: 'end', state: 'closed', reason: 'the client disconnected' }]
}

/**
 * An agent's connection with many commands: exec with output on both streams, some denied, held or failing, some of them
 * at once; one in a terminal; sftp's operations; output that is masked, notices of the gateway, bytes that are no text.
 */
export function* execRecording(session: string, commands: number, outputBytes = 2000): Generator<RecordingLine> {
  yield* numbered(session, execs(commands, outputBytes))
}

function* execs(commands: number, outputBytes: number): Generator<[number, Event]> {
  const next = dice(777)
  yield [1, command('c', 'connect', 'connect to web-1')]
  yield [1, { type: 'result', command: 'c', status: 'completed', ms: 3 }]
  yield [1, command('f', 'sftp', 'sftp')]
  yield [0, { type: 'channel', channel: 'sftp', command: 'f', kind: 'sftp' }]
  for (let i = 0; i < commands; i++) {
    const id = `c${i}`
    const channel = String(i + 1)
    const word = words[i % words.length]!
    if (i % 9 === 4) {
      yield [20, command(id, 'sftp:open', `get /srv/orders/${word}-${i}.csv`)]
      const transferred = { read: 4096, written: 0, sha256: 'a'.repeat(64) }
      yield [12, { type: 'result', command: id, status: 'completed', tag: '4096 bytes', transferred, ms: 12 }]
      continue
    }
    if (i % 11 === 7) {
      yield [20, command(id, 'exec', `rm -rf /srv/${word}`, 'deny')]
      yield [0, { type: 'result', command: id, status: 'refused', message: 'denied by policy', ms: 0 }]
      continue
    }
    if (i % 13 === 5) {
      const hold = { type: 'hold' as const, command: id, approval: `ap_${i}` }
      yield [20, { ...hold, state: 'pending' }]
      yield [30_000, { ...hold, state: 'approved', by: ['Ada'], reason: 'agreed' }]
      yield [0, { ...hold, state: 'used' }]
    }
    yield [20, command(id, 'exec', `journalctl -u shop-${word} -n ${i}`, i % 13 === 5 ? 'hold' : 'allow')]
    const opened = { type: 'channel' as const, channel, command: id, kind: 'exec' as const }
    const terminal = i % 17 === 3 ? { terminal: { type: 'xterm', columns: 80, rows: 24 } } : {}
    yield [1, { ...opened, ...terminal, environment: { LANG: 'C.UTF-8' } }]
    if (i % 13 === 5)
      yield [0, { type: 'output', channel, stream: 'stderr', data: 'countersign: released\n', notice: true }]
    let said = 0
    for (let n = 0; said < outputBytes; n++) {
      const line = `shop-${word}[${n}]: the ${words[next(words.length)]} of order ${next(1e6)}\n`
      said += line.length
      const stream = n % 10 === 9 ? ('stderr' as const) : ('stdout' as const)
      const masked = i % 19 === 2 && n === 3 ? { masked: ['email'] } : {}
      yield [
        1,
        {
          type: 'output',
          channel,
          stream,
          data: n % 31 === 30 ? { base64: Buffer.from([0xff, 0xfe, n]).toString('base64') } : line,
          ...masked,
        },
      ]
    }
    const failed = i % 6 === 2
    yield [1, exit(channel, failed ? 3 : 0)]
    yield [
      0,
      { type: 'result', command: id, status: failed ? 'failed' : 'completed', tag: `exit ${failed ? 3 : 0}`, ms: 40 },
    ]
  }
  yield [1, exit('sftp', 0)]
  yield [0, { type: 'result', command: 'f', status: 'completed', ms: 9000 }]
  yield [1, { type: 'end', state: 'closed', reason: 'the client disconnected' }]
}

/** Lines as the gateway sends them. */
export function bytesOf(lines: Iterable<RecordingLine>): Buffer {
  const pieces: Buffer[] = []
  let text = ''
  for (const line of lines) {
    text += `${JSON.stringify(line)}\n`
    if (text.length < 1 << 20) continue
    pieces.push(Buffer.from(text))
    text = ''
  }
  pieces.push(Buffer.from(text))
  return Buffer.concat(pieces)
}
