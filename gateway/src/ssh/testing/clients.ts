import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** The name by which OpenSSH's programs know the other end of a way: `ssh host uptime`, `scp file host:/tmp/`. */
export const HOST = 'host'

/**
 * A way to a host for OpenSSH's own programs: directly, or through the gateway. Both are used alike, so a test can be
 * written once for both.
 */
export interface Way {
  /** An ssh_config that knows HOST. */
  readonly config: string
  readonly environment: Readonly<Record<string, string>>
}

export type Program = 'ssh' | 'scp' | 'sftp' | 'rsync' | 'git'

export interface Ran {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: Buffer
  stderr: Buffer
  /** stderr as text. */
  said: string
}

export interface RunOptions {
  /** stdin; absent: /dev/null. */
  input?: string | Buffer | Readable
  cwd?: string
  environment?: Record<string, string>
  signal?: AbortSignal
}

export interface WayOptions {
  /** A folder for the configuration, with a path that needs no quotes. */
  folder: string
  port: number
  user: string
  /** File of a private key, for public key authentication. */
  identity?: string
  /** Answered to every question for a password. */
  password?: string
  /** A known_hosts line's key, `ssh-ed25519 AAAA…`; absent: any key is taken. */
  hostKey?: string
  /** More lines of ssh_config, `SendEnv FOO`; where a keyword is given twice the first counts, and these are first. */
  lines?: readonly string[]
}

let made = 0

/** Writes what OpenSSH's programs need for this way, and nothing of whoever runs the tests. */
export function wayOf({ folder, port, user, identity, password, hostKey, lines = [] }: WayOptions): Way {
  const name = `way-${++made}`
  const known = join(folder, `${name}.known_hosts`)
  writeFileSync(known, hostKey === undefined ? '' : `[127.0.0.1]:${port} ${hostKey}\n`)
  const askpass = join(folder, `${name}.askpass`)
  writeFileSync(askpass, `#!/bin/sh\nprintf '%s\\n' "$ANSWER"\n`, { mode: 0o700 })
  const config = join(folder, `${name}.config`)
  const given = [
    ...lines,
    'HostName 127.0.0.1',
    `Port ${port}`,
    `User ${user}`,
    `UserKnownHostsFile ${hostKey === undefined ? '/dev/null' : known}`,
    'GlobalKnownHostsFile /dev/null',
    `StrictHostKeyChecking ${hostKey === undefined ? 'no' : 'yes'}`,
    'UpdateHostKeys no',
    'IdentityAgent none',
    ...(identity === undefined ? ['PubkeyAuthentication no'] : [`IdentityFile ${identity}`, 'IdentitiesOnly yes']),
    ...(password === undefined ? ['PasswordAuthentication no', 'KbdInteractiveAuthentication no'] : []),
    'NumberOfPasswordPrompts 1',
    'LogLevel ERROR',
  ]
  writeFileSync(config, `Host ${HOST}\n${given.map((line) => `  ${line}\n`).join('')}`)
  return {
    config,
    environment: {
      PATH: process.env.PATH ?? '/usr/bin:/bin',
      HOME: folder,
      RSYNC_RSH: `ssh -F ${config}`,
      GIT_SSH_COMMAND: `ssh -F ${config}`,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      SSH_ASKPASS: askpass,
      SSH_ASKPASS_REQUIRE: 'force',
      ...(password !== undefined && { ANSWER: password }),
    },
  }
}

/** Starts a program on this way; ssh, scp and sftp are given the configuration, rsync and git take it from elsewhere. */
export function start(way: Way, program: Program, args: readonly string[], options: RunOptions = {}): ChildProcess {
  const { input, cwd, environment, signal } = options
  const all = program === 'rsync' || program === 'git' ? args : ['-F', way.config, ...args]
  const child = spawn(program, all, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: { ...way.environment, ...environment },
    ...(cwd !== undefined && { cwd }),
    ...(signal && { signal }),
  })
  // A program that ends early doesn't read what is left of its input.
  child.stdin?.on('error', () => {})
  if (typeof input === 'string' || Buffer.isBuffer(input)) child.stdin!.end(input)
  else if (input) input.pipe(child.stdin!)
  return child
}

/** Runs a program to its end and keeps all that it said: not for gigabytes. */
export async function run(way: Way, program: Program, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = start(way, program, args, options)
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  child.stdout!.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr!.on('data', (chunk: Buffer) => stderr.push(chunk))
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  const said = Buffer.concat(stderr)
  return { code, signal, stdout: Buffer.concat(stdout), stderr: said, said: said.toString() }
}
