import { Bash, defineCommand, type IFileSystem } from 'just-bash'

/** Who signs in on the sample host, and whose home it is. */
export const USER = 'deploy'
export const HOME = `/home/${USER}`
export const NAME = 'web-1'

/** What of the sample host is worked with: a shell that runs nothing of this machine, and its files. */
export interface Machine {
  readonly files: IFileSystem
  /** Runs a command line. Resolves also where it fails. */
  run(
    line: string,
    where: { cwd: string; env: Record<string, string>; stdin: Buffer; signal: AbortSignal },
  ): Promise<{ stdout: Buffer; stderr: Buffer; code: number; cwd: string }>
}

const ENVIRONMENT = {
  HOME,
  USER,
  LOGNAME: USER,
  SHELL: '/bin/bash',
  PATH: '/usr/local/bin:/usr/bin:/bin',
  LANG: 'C.UTF-8',
}
/**
 * The shop's web server, as far as agents need one: bash, text tools, files in memory, services that are restarted, logs
 * that say so. Nothing of it reaches the machine that it runs on: no process is started, no file read, no network used.
 */
export function createMachine(started: Date = new Date()): Machine {
  const services = new Map([
    ['nginx', { pid: 812, since: started }],
    ['shop', { pid: 1044, since: started }],
    ['shop-worker', { pid: 1051, since: started }],
  ])
  const journal: string[] = [
    `${stamp(started)} ${NAME} systemd[1]: Started shop.service - The shop.`,
    `${stamp(started)} ${NAME} shop[1044]: listening on 127.0.0.1:8080`,
    `${stamp(started)} ${NAME} shop-worker[1051]: queue mails: 14 waiting`,
    `${stamp(started)} ${NAME} shop[1044]: payment provider answered 502, retrying (order 1812, ella.moreno@example.com)`,
  ]
  const said = (stdout: string, exitCode = 0) => ({ stdout, stderr: '', exitCode })
  const failed = (stderr: string, exitCode = 1) => ({ stdout: '', stderr: `${stderr}\n`, exitCode })

  const systemctl = defineCommand('systemctl', async ([verb, ...names]) => {
    const name = names.map((each) => each.replace(/\.service$/, '')).find((each) => !each.startsWith('-'))
    const service = name === undefined ? undefined : services.get(name)
    if (verb === undefined || verb === 'list-units')
      return said([...services].map(([each]) => `  ${`${each}.service`.padEnd(22)} loaded active running\n`).join(''))
    if (!service) return failed(`Unit ${name ?? ''}.service could not be found.`, 4)
    if (verb === 'is-active') return said('active\n')
    if (verb === 'status')
      return said(
        `● ${name}.service\n     Loaded: loaded (/etc/systemd/system/${name}.service; enabled)\n     Active: active (running) since ${service.since.toUTCString()}\n   Main PID: ${service.pid} (${name})\n`,
      )
    if (verb !== 'restart' && verb !== 'reload') return failed(`Unknown command verb '${verb}'.`)
    const now = new Date()
    services.set(name!, { pid: service.pid + 97, since: now })
    journal.push(`${stamp(now)} ${NAME} systemd[1]: ${verb === 'restart' ? 'Restarted' : 'Reloaded'} ${name}.service.`)
    return said('')
  })
  const journalctl = defineCommand('journalctl', async (args) => {
    const unit = args[args.indexOf('-u') + 1]
    const last = args.includes('-n') ? Number(args[args.indexOf('-n') + 1]) : 20
    const lines = args.includes('-u')
      ? journal.filter((line) => line.includes(` ${unit}[`) || line.includes(`${unit}.service`))
      : journal
    return said(
      lines
        .slice(-(last || 20))
        .map((line) => `${line}\n`)
        .join(''),
    )
  })
  const uptime = defineCommand('uptime', async () => {
    const minutes = Math.floor((Date.now() - started.getTime()) / 60_000)
    return said(
      ` ${new Date().toISOString().slice(11, 19)} up 41 days, ${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')},  1 user,  load average: 0.21, 0.17, 0.12\n`,
    )
  })
  const df = defineCommand('df', async () =>
    said(
      'Filesystem      Size  Used Avail Use% Mounted on\n/dev/vda1        40G   31G  7.1G  82% /\ntmpfs           2.0G     0  2.0G   0% /dev/shm\n/dev/vdb1       200G  188G   12G  95% /srv\n',
    ),
  )
  const free = defineCommand('free', async () =>
    said(
      '               total        used        free      shared  buff/cache   available\nMem:         4015832     2214980      312004       18220     1488848     1521300\nSwap:              0           0           0\n',
    ),
  )
  const ps = defineCommand('ps', async () =>
    said(
      `  PID USER     COMMAND\n    1 root     /sbin/init\n${[...services].map(([name, { pid }]) => `${String(pid).padStart(5)} ${name === 'nginx' ? 'root    ' : 'shop    '} /usr/bin/${name}\n`).join('')}`,
    ),
  )
  const sudo = defineCommand('sudo', async () =>
    failed(`${USER} is not in the sudoers file. This incident will be reported.`),
  )
  const bash = new Bash({
    files: files(started),
    env: ENVIRONMENT,
    cwd: HOME,
    customCommands: [systemctl, journalctl, uptime, df, free, ps, sudo],
    executionLimits: { maxCommandCount: 20_000, maxLoopIterations: 50_000, maxCallDepth: 60 },
    processInfo: { pid: 2117, ppid: 2116, uid: 1000, gid: 1000 },
  })
  return {
    files: bash.fs,
    async run(line, { cwd, env, stdin, signal }) {
      try {
        const {
          stdout,
          stderr,
          exitCode,
          env: after,
        } = await bash.exec(line, {
          cwd,
          env,
          rawScript: true,
          stdin: stdin.toString('latin1'),
          stdinKind: 'bytes',
          signal,
        })
        return { stdout: Buffer.from(stdout), stderr: Buffer.from(stderr), code: exitCode, cwd: after.PWD ?? cwd }
      } catch (error) {
        const words = `bash: ${(error as Error).message}\n`
        return { stdout: Buffer.alloc(0), stderr: Buffer.from(words), code: signal.aborted ? 130 : 1, cwd }
      }
    },
  }
}

const stamp = (at: Date) => at.toISOString().slice(0, 19).replace('T', ' ')

/** What lies on the host. */
function files(started: Date): Record<string, string> {
  const access = Array.from({ length: 400 }, (_, n) => {
    const at = new Date(started.getTime() - (400 - n) * 7_000).toISOString()
    const path = ['/', '/products', '/products/17', '/cart', '/checkout', '/account'][n % 6]!
    const status = n % 41 === 0 ? 502 : n % 13 === 0 ? 404 : 200
    return `203.0.113.${n % 250} - - [${at}] "GET ${path} HTTP/1.1" ${status} ${1200 + ((n * 37) % 9000)}\n`
  })
  return {
    '/etc/hostname': `${NAME}\n`,
    '/etc/os-release': 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\n',
    '/etc/nginx/nginx.conf':
      'user www-data;\nworker_processes auto;\nevents { worker_connections 768; }\nhttp { include /etc/nginx/sites-enabled/*; }\n',
    '/etc/nginx/sites-enabled/shop':
      'server {\n  listen 443 ssl;\n  server_name shop.example;\n  location / { proxy_pass http://127.0.0.1:8080; }\n}\n',
    '/srv/shop/current/VERSION': '2026.11.3\n',
    '/srv/shop/current/config.yaml':
      'database: orders\npayment_provider: https://pay.example\nmail_from: shop@shop.example\n',
    '/srv/shop/current/.env': 'SESSION_KEY=2f9c1e8a7b6d5c4f\nPAYMENT_KEY=live_51Hx0aT\n',
    '/srv/shop/releases/2026.11.2/VERSION': '2026.11.2\n',
    '/srv/shop/exports/customers.csv':
      'id,name,email,card\n17,Ella Moreno,ella.moreno@example.com,4111 1111 1111 1111\n18,Jan Vos,jan.vos@example.net,5500 0055 5555 5559\n19,Mia Chen,mia.chen@example.org,3400 000000 00009\n',
    '/var/log/nginx/access.log': access.join(''),
    '/var/log/nginx/error.log': `${stamp(started)} [error] 812#812: *1812 upstream timed out (110: Connection timed out) while reading response header from upstream, client: 203.0.113.9\n`,
    [`${HOME}/.profile`]: 'export PS1="\\u@\\h:\\w\\$ "\n',
    [`${HOME}/notes.txt`]: 'rotate access.log before the sale\nask about the disk of /srv\n',
    '/tmp/.keep': '',
  }
}
