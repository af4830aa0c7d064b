import { Client, type ConnectConfig } from '../gateway/src/ssh/transport/ssh2.ts'
import type { World } from './world.ts'

/** What an agent of the sample world does on a host: connects by SSH, works, leaves. */
interface Work {
  agent: string
  purpose: string
  /** Seconds to the next run, after one has ended. */
  every: number
  run(host: OnHost, round: number): Promise<void>
}

/** What an ordinary SSH client can do on a host. */
interface OnHost {
  /** Runs a command line; answers its exit status. */
  exec(line: string): Promise<number | undefined>
  /** Types into a shell at a terminal, key by key, each line once the prompt is there again. */
  shell(lines: readonly string[]): Promise<void>
  /** Fetches a file by sftp; what is refused rejects. */
  get(path: string): Promise<Buffer>
  put(path: string, content: string): Promise<void>
}

export const works: Work[] = [
  {
    agent: 'host-watch',
    purpose: 'why checkout is slow since noon',
    every: 40,
    async run(host, round) {
      await host.exec('uptime')
      await host.exec('df -h')
      await host.exec('tail -n 20 /var/log/nginx/access.log')
      await host.exec(`journalctl -u ${round % 2 === 0 ? 'shop' : 'shop-worker'} -n 10`)
      // What a page told it to look for: denied, and the connection lives on.
      if (round % 3 === 1) await host.exec('cat /srv/shop/current/.env').catch(() => {})
      if (round % 3 === 2) await host.get('/srv/shop/current/.env').catch(() => {})
    },
  },
  {
    agent: 'release-bot',
    purpose: 'release 2026.11.4, ticket REL-311',
    every: 110,
    async run(host, round) {
      await host.get('/srv/shop/current/VERSION')
      await host.put(`/srv/shop/releases/2026.11.${4 + round}.txt`, 'what is new: faster checkout\n')
      await host.exec('systemctl status shop')
      await host.exec('systemctl restart shop')
    },
  },
  {
    agent: 'release-bot',
    purpose: 'looking around before release 2026.11.4',
    every: 300,
    async run(host) {
      await host.shell([
        'cd /srv/shop',
        'ls -l releases',
        'cat current/VERSION',
        'grep -c 502 /var/log/nginx/access.log',
        'head -n 2 exports/customers.csv',
        'sudo systemctl restart nginx',
        'not-the-password',
        'exit',
      ])
    },
  },
]

/** Sets the agents that work on hosts to work, until the signal says stop. */
export async function runOperators(world: World, signal: AbortSignal, log: (line: string) => void): Promise<void> {
  await Promise.all(
    works.map(async (work) => {
      for (let round = 0; !signal.aborted; round++) {
        await operate(world, work, round, signal).catch((error: Error) => {
          // A refusal is an everyday thing in an agent's life; it tries again later.
          if (!signal.aborted) log(`${work.agent}: ${error.message}`)
        })
        await pause(work.every * 1000, signal)
      }
    }),
  )
}

/** One run of an agent's work, by an ordinary SSH client. */
export async function operate(world: World, work: Work, round: number, signal: AbortSignal): Promise<void> {
  if (!world.ssh) return
  const client = await signedIn({
    host: world.ssh.host,
    port: world.ssh.port,
    username: 'web-1',
    password: await world.agents.clientCredentials(work.agent),
  })
  const leave = () => client.end()
  signal.addEventListener('abort', leave)
  try {
    await work.run(onHost(client, { COUNTERSIGN_PURPOSE: work.purpose }), round)
  } finally {
    signal.removeEventListener('abort', leave)
    client.end()
  }
}

function signedIn(config: ConnectConfig): Promise<Client> {
  return new Promise((resolve, reject) => {
    const client = new Client()
    client.once('ready', () => resolve(client))
    client.on('error', reject)
    client.connect({ ...config, readyTimeout: 15_000 })
  })
}

function onHost(client: Client, env: Record<string, string>): OnHost {
  return {
    exec: (line) =>
      new Promise((resolve, reject) => {
        client.exec(line, { env }, (error, channel) => {
          if (error) return reject(error)
          let code: number | undefined
          channel.on('exit', (status: number | null) => {
            code = status ?? undefined
          })
          channel.on('close', () => resolve(code))
          channel.on('error', reject)
          channel.stderr.resume()
          channel.resume()
          channel.end()
        })
      }),
    shell: (lines) =>
      new Promise((resolve, reject) => {
        client.shell({ term: 'xterm-256color', cols: 100, rows: 28 }, { env }, (error, channel) => {
          if (error) return reject(error)
          const left = [...lines]
          let shown = ''
          channel.on('data', (chunk: Buffer) => {
            shown += chunk.toString()
            if (!/(?:\$|password for \w+:)\s*$/.test(shown.replace(colours, ''))) return
            shown = ''
            const line = left.shift()
            if (line === undefined) return channel.close()
            type(channel, `${line}\r`)
          })
          channel.on('close', () => resolve())
          channel.on('error', reject)
          channel.stderr.resume()
        })
      }),
    get: (path) => withFiles(client, env, (files, settle) => files.readFile(path, settle)),
    put: (path, content) =>
      withFiles(client, env, (files, settle) => files.writeFile(path, content, (error) => settle(error, undefined))),
  }

  /** As somebody types, more or less. */
  function type(channel: NodeJS.WritableStream, text: string): void {
    let at = 0
    const next = () => {
      if (at >= text.length || !channel.writable) return
      channel.write(text[at++]!)
      setTimeout(next, 35 + ((at * 37) % 60)).unref()
    }
    next()
  }
}

type Files = Parameters<Parameters<Client['sftp']>[0]>[1]

function withFiles<T>(
  client: Client,
  env: Record<string, string>,
  work: (files: Files, settle: (error: Error | null | undefined, value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const opened: Parameters<Client['sftp']>[0] = (error, files) => {
      if (error) return reject(error)
      files.on('error', reject)
      files.on('close', () => reject(new Error('the gateway has closed it')))
      work(files, (failure, value) => {
        files.end()
        if (failure) reject(failure)
        else resolve(value)
      })
    }
    // Its types don’t know yet that an environment may come first.
    const sftp = client.sftp.bind(client) as unknown as (env: Record<string, string>, then: typeof opened) => void
    sftp(env, opened)
  })
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is how colours come
const colours = /\x1b\[[0-9;]*m/g

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
    if (signal.aborted) done()
  })
}
