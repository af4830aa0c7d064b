import { spawn } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startWorld } from '../demo/world.ts'
import { HOST, type Way, wayOf } from '../gateway/src/ssh/testing/clients.ts'
import { startSshd } from '../gateway/src/ssh/testing/sshd.ts'
import { cpu, INSPECTABLE } from './process.ts'
import { profileOf } from './profile.ts'
import { median, printTable } from './table.ts'

export const title = 'OpenSSH’s clients to a real sshd: direct, by ssh -J, by the gateway with policy and recording on'

const rounds = Number(process.env.BENCH_ROUNDS ?? 3)
const mib = Number(process.env.BENCH_MIB ?? 512)
const execs = Number(process.env.BENCH_EXECS ?? 15)

/** Of ssh -J's throughput at least so much, of what it adds until an exec's first byte at most so much. */
const wanted = { throughput: 0.6, latency: 3 }

/** Moves a file both ways by ssh and by scp, and times the first byte of commands, each way in turn. */
export async function run(): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  const [sshd, jump] = [stack.use(await startSshd()), stack.use(await startSshd())]
  const { host, port, user, hostKey, identity, fingerprint } = sshd
  const world = stack.use(
    await startWorld({
      folder: join(folder, 'world'),
      policy: { 'bench.cedar': policy },
      config: { ssh: { listen: '127.0.0.1:0' } },
      connections: () => ({
        [connection]: { kind: 'ssh', host, port, user, private_key: { file: identity }, host_key: fingerprint },
      }),
      env: { NODE_OPTIONS: INSPECTABLE },
    }),
  )
  const ways: Record<string, Way> = {
    direct: sshd.direct,
    'ssh -J': wayOf({
      ...{ folder, port, user, identity, hostKey },
      // As ssh -J has it, but for the other configuration.
      lines: [`ProxyCommand ssh -F ${jump.direct.config} -W [%h]:%p ${HOST}`],
    }),
    gateway: wayOf({
      folder,
      port: world.ssh!.port,
      user: connection,
      password: await gatewayToken(world.api, await world.agents.agentToken({ subject: 'bench', groups: ['bench'] })),
    }),
  }
  const file = join(folder, 'file')
  fill(file, mib)

  const bulk: [string, (way: Way) => Promise<void>][] = [
    ['ssh, from the host', (way) => moved('ssh', way, [HOST, `cat ${file}`])],
    ['ssh, to the host', (way) => moved('ssh', way, [HOST, 'cat > /dev/null'], file)],
    ['scp, from the host', (way) => moved('scp', way, ['-q', `${HOST}:${file}`, '/dev/null'])],
    ['scp, to the host', (way) => moved('scp', way, ['-q', file, `${HOST}:/dev/null`])],
  ]
  const missed: string[] = []
  const throughput: string[][] = []
  let slow: ((way: Way) => Promise<void>) | undefined
  for (const [what, move] of bulk) {
    const speeds = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]))
    let spent = 0
    for (let round = 0; round < rounds; round++) {
      for (const [name, way] of Object.entries(ways)) {
        const before = cpu(world.gateway.process.pid!)
        const seconds = await timed(() => move(way))
        if (name === 'gateway') spent += cpu(world.gateway.process.pid!) - before
        speeds.get(name)!.push(mib / seconds)
      }
    }
    const speed = (name: string) => median(speeds.get(name)!)
    const ratio = speed('gateway') / speed('ssh -J')
    if (ratio < wanted.throughput) {
      missed.push(`${what}: ${ratio.toFixed(2)} × ssh -J’s throughput, ${wanted.throughput} is wanted`)
      slow ??= move
    }
    throughput.push([
      what,
      ...Object.keys(ways).map((name) => speed(name).toFixed(0)),
      ratio.toFixed(2),
      ((1000 * spent) / rounds / mib).toFixed(1),
    ])
  }

  const first = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]))
  for (let n = 0; n <= execs; n++)
    for (const [name, way] of Object.entries(ways)) {
      const ms = await firstByte(way)
      if (n > 0) first.get(name)!.push(ms)
    }
  const latency = (name: string) => median(first.get(name)!)
  const added = (name: string) => latency(name) - latency('direct')
  const times = added('gateway') / added('ssh -J')
  if (times > wanted.latency)
    missed.push(`first byte: ${times.toFixed(1)} × what ssh -J adds, at most ${wanted.latency} is wanted`)

  printTable(['MiB/s', ...Object.keys(ways), 'gateway/-J', 'gateway, ms a MiB'], throughput)
  console.log()
  printTable(
    ['median until the first byte, ms', 'direct', 'ssh -J', 'gateway', 'gateway/-J'],
    [
      [
        'a connection and an exec',
        latency('direct').toFixed(0),
        ...['ssh -J', 'gateway'].map((name) => `+ ${added(name).toFixed(0)}`),
        times.toFixed(2),
      ],
    ],
  )
  console.log(`median of ${rounds} interleaved rounds of ${mib} MiB, and of ${execs} commands; all on one machine`)
  if (missed.length > 0) console.log(`\nnot reached:\n${missed.map((line) => `  ${line}`).join('\n')}`)
  if (!slow && !process.env.BENCH_PROFILE) return
  const lines = await profileOf(world.gateway, () => (slow ?? bulk[0]![1])(ways.gateway!))
  console.log(`where the gateway’s time goes:\n${lines.map((line) => `  ${line}`).join('\n')}`)
}

const connection = 'bench'

const policy = `
permit (principal in Group::"bench", action in Action::"ssh", resource in Connection::"${connection}");
@id("held") @hold("oncall") @reason("as in real life, some holds are there to be evaluated")
forbid (principal, action == Action::"ssh:exec", resource) when { context.command.argv like "*reboot*" } unless { context has approval };
`

/** A gateway token, since OpenSSH takes no longer answer than 1,023 bytes. */
async function gatewayToken(api: string, token: string): Promise<string> {
  const form = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: token,
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    audience: connection,
  }
  const answer = await fetch(`${api}/v1/token`, { method: 'POST', body: new URLSearchParams(form) })
  if (!answer.ok) throw new Error(await answer.text())
  return ((await answer.json()) as { access_token: string }).access_token
}

/** Bytes of chance: nothing on the way is to be compressed. */
function fill(file: string, mib: number): void {
  const out = openSync(file, 'w')
  const block = Buffer.allocUnsafe(1024 * 1024)
  for (let n = 0; n < mib; n++) writeSync(out, randomFillSync(block))
  closeSync(out)
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}

/** Runs a client whose output goes to nobody, so that nothing is measured but the way. */
async function moved(program: string, way: Way, args: string[], input = '/dev/null'): Promise<void> {
  const [stdin, stdout] = [openSync(input, 'r'), openSync('/dev/null', 'w')]
  const child = spawn(program, ['-F', way.config, ...args], { stdio: [stdin, stdout, 'pipe'], env: way.environment })
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  closeSync(stdin)
  closeSync(stdout)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${said}`)
}

/** Milliseconds from the start of ssh to the first byte of its command. */
async function firstByte(way: Way): Promise<number> {
  const started = performance.now()
  const child = spawn('ssh', ['-F', way.config, HOST, 'echo'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: way.environment,
  })
  let ms = Number.NaN
  child.stdout!.once('data', () => {
    ms = performance.now() - started
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`ssh ended with ${code}`)
  return ms
}
