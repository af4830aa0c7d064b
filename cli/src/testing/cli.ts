import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..', '..', '..')
export const bin = join(root, 'cli', 'bin', 'countersign.js')

export interface Ran {
  code: number | null
  signal: NodeJS.Signals | null
  out: string
  err: string
}

export interface Started {
  process: ChildProcess
  /** Resolves with what has been said on standard error once it matches; rejects when the process ends before. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  /** The same for standard output. */
  printed(pattern: RegExp): Promise<RegExpExecArray>
  ended: Promise<Ran>
}

/** Of one's own environment what makes Node start sooner (module.enableCompileCache), where it is set. */
export const compiled: Record<string, string> =
  process.env.NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE }

/** Somebody with a home of their own, who runs the real program. */
export interface User extends Disposable {
  home: string
  config: string
  env: Record<string, string>
  run(args: string[], more?: Record<string, string>, input?: string): Promise<Ran>
  start(args: string[], more?: Record<string, string>): Started
  /** The one JSON value that a command prints. */
  json(args: string[], more?: Record<string, string>): Promise<unknown>
}

/** What stands in for the system's browser: it signs that person in. */
export const browserAs = (person: string) =>
  `"${process.execPath}" "${join(root, 'demo', 'sign-in.ts')}" --as ${person}`

export function newUser(gateway: string): User {
  const home = mkdtempSync(join(tmpdir(), 'countersign-cli-'))
  const env: Record<string, string> = {
    ...compiled,
    PATH: process.env.PATH ?? '',
    LANG: 'C.UTF-8',
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    XDG_CONFIG_HOME: join(home, 'config'),
    COUNTERSIGN_GATEWAY: gateway,
  }
  mkdirSync(join(home, 'tmp'))
  const running = new Set<ChildProcess>()
  const start: User['start'] = (args, more = {}) => {
    const child = spawnCli(args, { ...env, ...more })
    running.add(child)
    child.once('close', () => running.delete(child))
    return started(child)
  }
  const run: User['run'] = async (args, more = {}, input = '') => {
    const { process: child, ended } = start(args, more)
    child.stdin!.on('error', () => {}).end(input)
    return ended
  }
  return {
    home,
    config: join(home, 'config', 'countersign'),
    env,
    run,
    start,
    async json(args, more) {
      const { out, err, code } = await run([...args, '--json'], more)
      if (!out.endsWith('\n') || out.split('\n').length !== 2) throw new Error(`not one line (${code}): ${out}\n${err}`)
      return JSON.parse(out)
    },
    [Symbol.dispose]() {
      for (const child of running) child.kill('SIGKILL')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

function spawnCli(args: string[], env: Record<string, string>): ChildProcess {
  return spawn(process.execPath, [bin, ...args], { env, stdio: ['pipe', 'pipe', 'pipe'] })
}

function started(child: ChildProcess): Started {
  const texts = { out: '', err: '' }
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const look of waiting) look()
  }
  for (const [name, stream] of [
    ['out', child.stdout!],
    ['err', child.stderr!],
  ] as const)
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      texts[name] += chunk
      wake()
    })
  let gone = false
  const ended = once(child, 'close').then(([code, signal]) => {
    gone = true
    wake()
    return { code, signal, ...texts } as Ran
  })
  const matching = (name: keyof typeof texts, pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(texts[name])
        if (!match && !gone) return
        waiting.delete(look)
        if (match) resolve(match)
        else reject(new Error(`ended without ${pattern}: ${texts.out}${texts.err}`))
      }
      waiting.add(look)
      look()
    })
  return {
    process: child,
    ended,
    said: (pattern) => matching('err', pattern),
    printed: (pattern) => matching('out', pattern),
  }
}
