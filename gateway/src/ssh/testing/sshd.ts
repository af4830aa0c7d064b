import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type Way, wayOf } from './clients.ts'

const SSHD = '/usr/sbin/sshd'

/** A real sshd of OpenSSH on 127.0.0.1 that lets whoever runs the tests in by a key, and nobody else. */
export interface RunningSshd extends AsyncDisposable {
  readonly host: '127.0.0.1'
  readonly port: number
  /** Whom it lets in: the user that this process runs as. */
  readonly user: string
  /**
   * $HOME of what it runs, and where sftp begins; empty at first, and removed at the end. Commands begin in the user's
   * own home all the same, so name what they touch by its whole path.
   */
  readonly folder: string
  /** File of the private key that it accepts. */
  readonly identity: string
  /** That key in OpenSSH's format. */
  readonly privateKey: string
  /** Its host key as known_hosts has it: `ssh-ed25519 AAAA…`. */
  readonly hostKey: string
  /** The same as ssh-keygen prints it: `SHA256:…`. */
  readonly fingerprint: string
  /** Straight to it. */
  readonly direct: Way
  /** What it logged, line by line. */
  readonly log: readonly string[]
  stop(): Promise<void>
}

export interface SshdOptions {
  /** More lines of sshd_config; where a keyword is given twice the first counts, and these are first. */
  lines?: readonly string[]
  /** Type of its host key, as ssh-keygen -t takes it. */
  hostKeyType?: 'ed25519' | 'ecdsa' | 'rsa'
}

/** Starts it. @throws where sshd isn't installed, or doesn't come up */
export async function startSshd(options: SshdOptions = {}): Promise<RunningSshd> {
  const base = mkdtempSync(join(tmpdir(), 'countersign-sshd-'))
  const folder = join(base, 'home')
  mkdirSync(folder)
  const keygen = (type: string, file: string) =>
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', '', '-f', join(base, file)])
  keygen(options.hostKeyType ?? 'ed25519', 'host_key')
  keygen('ed25519', 'identity')
  const identity = join(base, 'identity')
  // Where it runs as root it wants this folder for its unprivileged part; a machine without the service has none.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })

  const { child, port, log } = await listening(base, folder, options.lines ?? [])
  const { username: user } = userInfo()
  const hostKey = readFileSync(`${join(base, 'host_key')}.pub`, 'utf8')
    .split(' ')
    .slice(0, 2)
    .join(' ')
    .trim()
  const fingerprint = execFileSync('ssh-keygen', ['-lf', join(base, 'host_key.pub')], { encoding: 'utf8' }).split(
    ' ',
  )[1]!
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, 'exit')
      // Its sessions are processes of their own, and outlive it.
      for (const each of offspring(child.pid!)) kill(each)
      child.kill('SIGKILL')
      await gone
    }
    rmSync(base, { recursive: true, force: true })
  }
  return {
    host: '127.0.0.1',
    ...{ port, user, folder, identity, hostKey, fingerprint, log, stop },
    privateKey: readFileSync(identity, 'utf8'),
    direct: wayOf({ folder: base, port, user, identity, hostKey }),
    [Symbol.asyncDispose]: stop,
  }
}

async function listening(
  base: string,
  home: string,
  lines: readonly string[],
): Promise<{ child: ChildProcess; port: number; log: string[] }> {
  // sshd can't choose a port itself; one that was free may be taken a moment later, so it has a few tries.
  for (let tries = 1; ; tries++) {
    const port = await freePort()
    const config = join(base, 'sshd_config')
    const given = [
      ...lines,
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(base, 'host_key')}`,
      `AuthorizedKeysFile ${join(base, 'identity.pub')}`,
      `PidFile ${join(base, 'pid')}`,
      'StrictModes no',
      'UsePAM no',
      'PermitRootLogin yes',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'AllowTcpForwarding yes',
      'PermitUserEnvironment no',
      'AcceptEnv *',
      `SetEnv HOME=${home}`,
      'PrintMotd no',
      'PrintLastLog no',
      'MaxStartups 1000',
      'MaxSessions 1000',
      // Of a subsystem, and of nothing else, a second line is an error.
      ...(lines.some((line) => line.startsWith('Subsystem ')) ? [] : [`Subsystem sftp internal-sftp -d ${home}`]),
      'LogLevel VERBOSE',
    ]
    writeFileSync(config, `${given.join('\n')}\n`)
    const child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] })
    const log: string[] = []
    const reader = createInterface({ input: child.stderr! })
    const up = await new Promise<boolean>((resolve, reject) => {
      child.once('error', (error) =>
        reject(new Error(`sshd can't be started (Debian: openssh-server): ${error.message}`)),
      )
      child.once('exit', () => resolve(false))
      reader.on('line', (line) => {
        log.push(line)
        if (line.includes('Server listening on')) resolve(true)
      })
    })
    if (up) return { child, port, log }
    if (tries === 5 || !log.some((line) => line.includes('in use'))) throw new Error(`sshd ended:\n${log.join('\n')}`)
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Processes that this one started, and that those did. */
function offspring(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number)
    return children.flatMap((child) => [...offspring(child), child])
  } catch {
    return []
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
