import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program that tests need from the system, and the Debian package that has it. */
export interface SystemProgram {
  names: string[]
  /** Where it is a library rather than a program: a file of it, by which it is found. */
  file?: string
  debian: string
  what: string
}

/** Without the windows of a whole one, which nobody sees here and which took a fifth of the time. */
export const chromium: SystemProgram = {
  names: ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
  debian: 'chromium-headless-shell',
  what: 'a Chromium, in which the console is driven end to end',
}
export const psql: SystemProgram = {
  names: ['psql'],
  debian: 'postgresql-client',
  what: 'psql, a client that people use',
}

export const pgbench: SystemProgram = {
  names: ['pgbench'],
  debian: 'postgresql',
  what: "PostgreSQL's own load generator",
}
export const pgbouncer: SystemProgram = {
  names: ['pgbouncer'],
  debian: 'pgbouncer',
  what: 'the pooler that we compare with',
}

/** What SSH is tried with: OpenSSH's server and clients, and what runs over them. */
export const openssh: Record<'sshd' | 'ssh' | 'rsync' | 'git', SystemProgram> = {
  sshd: { names: ['sshd'], debian: 'openssh-server', what: 'OpenSSH’s server' },
  ssh: { names: ['ssh'], debian: 'openssh-client', what: 'OpenSSH’s clients' },
  rsync: { names: ['rsync'], debian: 'rsync', what: 'rsync, which copies over SSH' },
  git: { names: ['git'], debian: 'git', what: 'git, which fetches over SSH' },
}

export const bzip2: SystemProgram = { names: ['bzip2'], debian: 'bzip2', what: 'the unpacker of PostgreSQL’s source' }

const dist = '/usr/lib/python3/dist-packages'
/** Clients that are compared with and without the gateway (scripts/compare). */
export const clients: Record<'psycopg' | 'psycopg2' | 'java' | 'pgjdbc', SystemProgram> = {
  psycopg: {
    names: ['psycopg'],
    file: `${dist}/psycopg/__init__.py`,
    debian: 'python3-psycopg',
    what: 'psycopg 3, a client that people use',
  },
  psycopg2: {
    names: ['psycopg2'],
    file: `${dist}/psycopg2/__init__.py`,
    debian: 'python3-psycopg2',
    what: 'psycopg 2, a client that people use',
  },
  java: { names: ['javac'], debian: 'default-jdk-headless', what: 'Java, in which a JDBC client is run' },
  pgjdbc: {
    names: ['pgjdbc'],
    file: '/usr/share/java/postgresql.jar',
    debian: 'libpostgresql-jdbc-java',
    what: "PostgreSQL's JDBC driver",
  },
}

/** Path of the first of the program's names on PATH, or the file that it is found by. */
export function find(program: SystemProgram): string | undefined {
  if (program.file !== undefined) return existsSync(program.file) ? program.file : undefined
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']) {
    for (const name of program.names) {
      const file = join(folder, name)
      try {
        accessSync(file, constants.X_OK)
        return file
      } catch {}
    }
  }
  return undefined
}

/**
 * Finds programs, installing what is missing with apt-get where that may be done without asking (root on a Debian).
 * @throws Error naming the one command that installs what is missing
 */
export function provide(programs: SystemProgram[]): void {
  const missing = programs.filter((p) => !find(p))
  if (missing.length === 0) return
  const packages = missing.map((p) => p.debian)
  const command = `apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`
  const mayInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')
  if (mayInstall) {
    console.log(`installing ${packages.join(', ')}: ${missing.map((p) => p.what).join('; ')}`)
    const run = (...args: string[]) =>
      spawnSync('apt-get', args, {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      })
    run('update', '-qq')
    run('install', '-y', '-qq', '--no-install-recommends', ...packages)
    if (missing.every((p) => find(p))) return
  }
  const what = missing.map((p) => `  ${p.names[0]}: ${p.what}`).join('\n')
  throw new Error(`Programs are needed that are not here:\n${what}\nInstall them with\n  sudo sh -c '${command}'`)
}
