import { spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type NewRecordingEvent, RecordingLine } from '@countersign/contract/recording'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openFreshStore } from '../store/testing/fresh.ts'
import { FileRecorder, MOST_MARKS, type RecorderOptions } from './recorder.ts'
import { mend, placeOf, readRecording, seal } from './recording.ts'
import { RecordingError } from './session.ts'
import { createSessions } from './sessions.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'recorder-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const id = 'se_aaaaaaaaaaaaaaaaaaaaaaaa'
const startedAt = '2026-11-21T10:00:00.000Z'
const header: RecorderOptions['header'] = {
  session: id,
  connection: 'orders',
  protocol: 'postgres',
  mode: 'enforce',
  agent: { id: 'https://idp#ci', issuer: 'https://idp', subject: 'ci', name: 'ci', groups: [] },
  client: { address: '127.0.0.1' },
  startedAt,
  resultBound: { rows: 10, bytes: 1000 },
}
const openRecorder = (changes: Partial<RecorderOptions> = {}) =>
  FileRecorder.open({
    file: placeOf(folder, id, startedAt).plain,
    header,
    clock: () => Date.parse(startedAt),
    ...changes,
  })
const note = (text: string): NewRecordingEvent => ({ type: 'note', text })
const command = (text: string): NewRecordingEvent => ({
  type: 'command',
  command: 'c1',
  text,
  parameters: ['1', null, { base64: 'AA==' }],
  kind: 'select',
  effects: [],
  digest: 'sha256:00',
  verdict: { outcome: 'allow', policies: [] },
})
const parse = (text: string) => {
  expect(text.endsWith('\n')).toBe(true)
  return text
    .trimEnd()
    .split('\n')
    .map((line) => RecordingLine.parse(JSON.parse(line)))
}
async function readAll(place: ReturnType<typeof placeOf>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of (await readRecording(place))!) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

describe('the recorder', () => {
  it('has handed each line to the operating system when append returns', async () => {
    const recorder = await openRecorder()
    for (let i = 1; i <= 3; i++) {
      recorder.append(command(`select ${i}`))
      const lines = parse(readFileSync(recorder.file, 'utf8'))
      expect(lines).toHaveLength(i + 1)
      expect(lines.at(-1)).toMatchObject({ seq: i, text: `select ${i}` })
      expect(statSync(recorder.file).size).toBe(recorder.bytes)
    }
    await recorder.close()
    expect(() => recorder.append(note('late'))).toThrow(RecordingError)
    await expect(recorder.sync()).rejects.toThrow(RecordingError)
  })

  it('keeps any text as one line, and gives it back', async () => {
    const texts = fc.sample(fc.string({ unit: 'binary', maxLength: 50 }), { numRuns: 200, seed: 3 })
    texts.push('\n\r\u2028\u2029', '\ud800 lone', '\0', '"}\n{"type":"end"')
    const recorder = await openRecorder()
    for (const text of texts) recorder.append(note(text))
    await recorder.close()
    const lines = parse(readFileSync(recorder.file, 'utf8'))
    expect(lines.slice(1).map((line) => (line as { text: string }).text)).toEqual(texts)
  })

  it('never lets time run backwards', async () => {
    let now = Date.parse(startedAt) + 100
    const recorder = await openRecorder({ clock: () => now })
    recorder.append(note('a'))
    now -= 50
    recorder.append(note('b'))
    await recorder.close()
    expect(parse(readFileSync(recorder.file, 'utf8')).map((line) => 't' in line && line.t)).toEqual([false, 100, 100])
  })

  it('keeps so many places to start reading at, however long it is, and each leads to its event', async () => {
    const recorder = await openRecorder()
    const events = 256 * MOST_MARKS * 2
    const many = Array.from({ length: 4096 }, () => note(''))
    for (let seq = 0; seq < events; seq += many.length) {
      recorder.append(...many)
      expect(recorder.marks).toBeLessThan(MOST_MARKS)
    }
    expect(recorder.marks).toBeGreaterThan(MOST_MARKS / 4)
    const bytes = readFileSync(recorder.file)
    for (const after of [0, 255, 256, 70_000, events / 2, events - 1]) {
      const { seq, offset } = recorder.markBefore(after)
      expect(seq).toBeLessThanOrEqual(after)
      expect(after - seq).toBeLessThanOrEqual(4 * 256)
      const line = bytes.subarray(offset, bytes.indexOf(10, offset)).toString()
      if (offset > 0) expect(JSON.parse(line)).toMatchObject({ seq: seq + 1 })
    }
    await recorder.close()
  })

  it('refuses to write over a recording, or through a link', async () => {
    const recorder = await openRecorder()
    await expect(openRecorder()).rejects.toThrow(RecordingError)
    await recorder.close()
    expect(parse(readFileSync(recorder.file, 'utf8'))).toHaveLength(1)
    rmSync(recorder.file)
    symlinkSync(join(folder, 'elsewhere'), recorder.file)
    await expect(openRecorder()).rejects.toThrow(RecordingError)
    expect(existsSync(join(folder, 'elsewhere'))).toBe(false)
  })

  it('gives all who wait for a sync the same, and each at least its own lines', async () => {
    const recorder = await openRecorder()
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        recorder.append(note(String(i)))
        await recorder.sync()
      }),
    )
    expect(recorder.seq).toBe(100)
    await recorder.close()
  })

  it('takes nothing after its end', async () => {
    const recorder = await openRecorder()
    recorder.append(note('a'), { type: 'end', state: 'closed', reason: '' })
    expect(() => recorder.append(note('b'))).toThrow(RecordingError)
    await recorder.close()
    expect(parse(await readAll(placeOf(folder, id, startedAt))).map(({ type }) => type)).toEqual([
      'header',
      'note',
      'end',
    ])
  })

  it('is broken for good once writing failed, and says so to everybody', async () => {
    let told: Error | undefined
    const recorder = await openRecorder({ onBroken: (error) => (told = error) })
    recorder.append(note('before'))
    closeBehindItsBack(recorder.file)
    expect(() => recorder.append(note('after'))).toThrow(RecordingError)
    expect(told).toBeInstanceOf(RecordingError)
    expect(recorder.broken).toBe(told)
    expect(() => recorder.append(note('again'))).toThrow(told)
    await expect(recorder.sync()).rejects.toBe(told)
    await expect(recorder.close()).rejects.toBe(told)
    expect(parse(readFileSync(recorder.file, 'utf8'))).toHaveLength(2)
  })

  it('is broken for good once a sync failed', async () => {
    const recorder = await openRecorder()
    recorder.append(note('before'))
    closeBehindItsBack(recorder.file)
    await expect(recorder.sync()).rejects.toThrow(/brought to disk/)
    expect(() => recorder.append(note('after'))).toThrow(/brought to disk/)
    await recorder.close().catch(() => {})
  })
})

/** Makes the operating system refuse (EBADF), as a dying disk would (EIO). */
function closeBehindItsBack(file: string) {
  const fd = readdirSync('/proc/self/fd').find((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === file
    } catch {
      return false
    }
  })
  closeSync(Number(fd))
}

describe('a full disk', () => {
  /** Records lines of `size` bytes until it is refused; says how many were accepted, and whether more were afterwards. */
  const filler = (size: number) => `
    import { FileRecorder } from ${JSON.stringify(join(import.meta.dirname, 'recorder.ts'))}
    const recorder = await FileRecorder.open({ file: process.argv[1], header: ${JSON.stringify(header)}, clock: Date.now })
    let accepted = 0
    const append = () => recorder.append({ type: 'note', text: 'x'.repeat(${size}) })
    let error
    try { for (;;) { append(); accepted++ } } catch (e) { error = e }
    let after = 0
    for (let i = 0; i < 3; i++) try { recorder.append({ type: 'note', text: '' }); after++ } catch {}
    console.log(JSON.stringify({ accepted, after, name: error.name, message: error.message, bytes: recorder.bytes }))
  `
  const check = (run: ReturnType<typeof spawnSync>, file: string, message: RegExp) => {
    expect(run.stderr.toString()).toBe('')
    const said = JSON.parse(run.stdout.toString())
    expect(said).toMatchObject({ after: 0, name: 'RecordingError' })
    expect(said.message).toMatch(message)
    expect(said.accepted).toBeGreaterThan(3)
    const text = readFileSync(file, 'utf8')
    expect(parse(text)).toHaveLength(said.accepted + 1)
    expect(Buffer.byteLength(text)).toBe(said.bytes)
  }

  it.each([100, 5000, 30_001])(
    'refuses, leaves no torn line, and stays closed: lines of %i bytes (file size limit)',
    (size) => {
      const file = join(folder, 'r.ndjson')
      // `ulimit -f` makes write(2) short and then EFBIG, as ENOSPC comes: no root needed.
      const script = 'ulimit -f 256; exec "$0" --input-type=module-typescript -e "$1" "$2"'
      const run = spawnSync('bash', ['-c', script, process.execPath, filler(size), file])
      check(run, file, /too large/i)
    },
  )

  const mounted = process.getuid?.() === 0 && process.platform === 'linux' && canMount()
  if (!mounted)
    console.warn('NOT TESTED HERE: a really full disk (mounting a tmpfs needs root); EFBIG stands in for it')
  it.runIf(mounted)('says what to do (a tmpfs that is full)', () => {
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk]).status).toBe(0)
    try {
      const file = join(disk, 'r.ndjson')
      const run = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', filler(3000), file])
      check(run, file, /disk of the data folder is full; make room/)
    } finally {
      spawnSync('umount', [disk])
    }
  })
  it.runIf(mounted)('refuses a session whose recording can’t begin, and leaves nothing of it behind', async () => {
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]).status).toBe(0)
    try {
      spawnSync('dd', ['if=/dev/zero', `of=${join(disk, 'full')}`])
      const file = join(disk, 'r.ndjson')
      await expect(openRecorder({ file })).rejects.toThrow(RecordingError)
      expect(readdirSync(disk)).toEqual(['full'])
    } finally {
      spawnSync('umount', [disk])
    }
  })
  function canMount() {
    const place = mkdtempSync(join(tmpdir(), 'mount-'))
    const can = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place]).status === 0
    if (can) spawnSync('umount', [place])
    rmSync(place, { recursive: true })
    return can
  }
})

describe('mending what was left behind', () => {
  const interrupted = { state: 'interrupted' as const, reason: 'killed' }
  const make = async (texts: string[]) => {
    const recorder = await openRecorder()
    for (const text of texts) recorder.append(command(text))
    await recorder.close()
    return placeOf(folder, id, startedAt)
  }

  it('keeps every whole line, cuts the torn one, ends it, and does nothing the second time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1, maxLength: 8 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.uint8Array({ maxLength: 30 }),
        async (texts, cutAt, garbage) => {
          rmSync(join(folder, 'recordings'), { recursive: true, force: true })
          const place = await make(texts)
          const whole = readFileSync(place.plain)
          const beginning = whole.indexOf(10) + 1
          const cut = whole.subarray(0, beginning + Math.floor(cutAt * (whole.length - beginning)))
          writeFileSync(place.plain, Buffer.concat([cut, Buffer.from(garbage).map((b) => (b === 10 ? 0 : b))]))
          const kept = cut.toString().split('\n').length - 2
          const mended = await mend(place.plain, interrupted)
          const after = readFileSync(place.plain, 'utf8')
          const lines = parse(after)
          expect(lines.filter((l) => l.type === 'command').map((l) => l.text)).toEqual(texts.slice(0, kept))
          expect(lines.slice(1).map((l) => 'seq' in l && l.seq)).toEqual(lines.slice(1).map((_, i) => i + 1))
          const torn = cut.length + garbage.length > Buffer.from(after).indexOf(`{"seq":${kept + 1},`)
          expect(lines.some((l) => l.type === 'note')).toBe(torn)
          expect(lines.at(-1)).toMatchObject({ type: 'end', ...interrupted })
          expect(mended).toMatchObject({ bytes: Buffer.byteLength(after), counts: { commands: kept } })
          expect(await mend(place.plain, { state: 'closed', reason: 'other' })).toEqual(mended)
          expect(readFileSync(place.plain, 'utf8')).toBe(after)
        },
      ),
      { numRuns: 100, seed: 11 },
    )
  })

  it('sets aside what follows a line that is broken in the middle', async () => {
    const place = await make(['select 1'])
    appendFileSync(place.plain, '\0\0\0\n{"seq":9,"t":1,"type":"note","text":"whole"}\n')
    await mend(place.plain, interrupted)
    expect(parse(readFileSync(place.plain, 'utf8')).map((line) => line.type)).toEqual([
      'header',
      'command',
      'note',
      'end',
    ])
    expect(readFileSync(`${place.plain}.cut`, 'utf8')).toContain('whole')
  })

  it('leaves alone what has no beginning', async () => {
    const place = await make([])
    writeFileSync(place.plain, '{"type":"hea')
    expect((await mend(place.plain, interrupted)).header).toBeUndefined()
    expect(readFileSync(place.plain, 'utf8')).toBe('{"type":"hea')
  })

  it('reads the same before and after sealing, whichever files a crash left', async () => {
    const place = await make(['select 1', 'x'.repeat(300_000)])
    const before = await readAll(place)
    writeFileSync(`${place.sealed}.tmp`, 'half')
    writeFileSync(place.sealed, 'half of an older one')
    expect(await readAll(place)).toBe(before)
    await seal(place)
    expect(readdirSync(join(place.plain, '..'))).toEqual([`${id}.ndjson.zst`])
    expect(await readAll(place)).toBe(before)
    rmSync(place.sealed)
    expect(await readRecording(place)).toBeUndefined()
  })

  it('tells a reader of a damaged sealed recording, instead of ending early', async () => {
    const place = await make(['x'.repeat(100_000)])
    await seal(place)
    const bytes = readFileSync(place.sealed)
    writeFileSync(place.sealed, bytes.subarray(0, bytes.length - 3))
    await expect(readAll(place)).rejects.toThrow()
  })
})

describe('a killed gateway', () => {
  const victim = join(import.meta.dirname, 'testing/victim.ts')
  /** Runs until it has said `lines` lines, then kills it. Answers what it had said, and what it told on stderr. */
  const runAndKill = async (what: 'record' | 'recover', lines: number) => {
    const child = spawn(process.execPath, [victim, folder, what], { stdio: ['ignore', 'pipe', 'pipe'] })
    const said: string[] = []
    let stderr = ''
    child.stderr.on('data', (chunk) => (stderr += chunk))
    const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
    for await (const line of createInterface({ input: child.stdout })) {
      said.push(line)
      if (said.length === lines) child.kill('SIGKILL')
    }
    await exited
    return { said, stderr }
  }

  it('has recorded all that append has returned for, loses no recording, and leaves no session open', async () => {
    const recorded = new Map<string, number>()
    const closed = new Set<string>()
    // Each life begins by recovering what the one before left behind; some are killed in the middle of that.
    const lives: ['record' | 'recover', number][] = [
      ['record', 10],
      ['record', 150],
      ['recover', 1],
      ['record', 263],
      ['recover', 1],
    ]
    for (const [what, lines] of lives) {
      const { said, stderr } = await runAndKill(what, lines)
      expect(stderr).toBe('')
      for (const line of said) {
        const [first, second] = line.split(' ')
        if (first === 'closed') closed.add(second!)
        else if (second) recorded.set(first!, Number(second))
      }
    }
    expect(recorded.size).toBeGreaterThan(10)
    expect(closed.size).toBeGreaterThan(0)

    const store = await openFreshStore(join(folder, 'store.db'))
    const errors: unknown[] = []
    const sessions = createSessions({
      store,
      folder,
      limits: () => ({ sessions_per_agent: 1, recorded_rows: 1, recorded_bytes: 1 }),
      log: { info() {}, warn() {}, error: (...all: unknown[]) => void errors.push(all) },
    })
    await sessions.recover()
    await sessions.recover()
    expect(errors).toEqual([])
    const { items } = await sessions.list({ limit: 10_000 })
    const known = new Map(items.map((session) => [session.id, session]))
    for (const [session, upTo] of recorded) {
      const lines = parse(await readAll(placeOf(folder, session, known.get(session)!.openedAt)))
      const commands = lines.filter((line) => line.type === 'command')
      expect(commands.length).toBeGreaterThanOrEqual(upTo)
      expect(commands.map((line) => line.command)).toEqual(commands.map((_, i) => `c${i + 1}`))
      expect(lines[0]?.type).toBe('header')
      expect(lines.at(-1)?.type).toBe('end')
      expect(known.get(session)).toMatchObject({
        state: closed.has(session) ? 'closed' : expect.stringMatching('closed|interrupted'),
        counts: { commands: commands.length },
        recording: { complete: true },
      })
    }
    expect(items.filter((session) => session.state === 'open')).toEqual([])
    const files = readdirSync(join(folder, 'recordings'), { recursive: true, withFileTypes: true })
    expect(files.filter((f) => f.isFile() && !f.name.endsWith('.ndjson.zst')).map((f) => f.name)).toEqual([])
    expect(files.filter((f) => f.isFile())).toHaveLength(items.length)
    await store[Symbol.asyncDispose]()
  }, 60_000)

  it('whose store is lost gets its sessions back from their recordings', async () => {
    await runAndKill('record', 100)
    for (const name of readdirSync(folder)) if (name.startsWith('store.db')) rmSync(join(folder, name))
    const store = await openFreshStore(join(folder, 'store.db'))
    const sessions = createSessions({
      store,
      folder,
      limits: () => ({ sessions_per_agent: 1, recorded_rows: 1, recorded_bytes: 1 }),
      log: { info() {}, warn() {}, error() {} },
    })
    await sessions.recover()
    const { items } = await sessions.list({ limit: 100 })
    expect(items.length).toBeGreaterThan(0)
    const state = expect.stringMatching('closed|interrupted')
    for (const session of items) expect(session).toMatchObject({ state, connection: 'orders' })
    await store[Symbol.asyncDispose]()
  })
})
