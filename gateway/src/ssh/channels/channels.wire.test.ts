import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Ran, type RunOptions, run, start, type Way } from '../testing/clients.ts'
import { type SshWorld, startSshWorld } from '../testing/world.ts'

let world: SshWorld
let through: Way
let direct: Way
beforeAll(async () => {
  world = await startSshWorld({ connection: { env: ['APP_*'] } })
  through = await world.through()
  direct = world.sshd.direct
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** What can be compared, readable where it isn't the same. */
const told = ({ code, signal, stdout, said }: Ran) => ({
  code,
  signal,
  stdout: stdout.length > 1000 ? createHash('sha256').update(stdout).digest('hex') : stdout.toString('latin1'),
  said: said.length > 1000 ? createHash('sha256').update(said).digest('hex') : said,
})

/** The same program both ways, at once; each way gets input of its own. */
async function both(args: string[], options: RunOptions = {}, lines: string[] = []): Promise<Ran> {
  const [one, other] = await Promise.all(
    [direct, through].map((way) => run(withLines(way, lines), 'ssh', args, { ...options })),
  )
  expect(told(other!)).toEqual(told(one!))
  return other!
}

function withLines(way: Way, lines: string[]): Way {
  if (lines.length === 0) return way
  const config = join(world.folder, `${randomUUID()}.config`)
  writeFileSync(config, `Host host\n${lines.map((line) => `  ${line}\n`).join('')}Include ${way.config}\n`)
  return { ...way, config }
}

describe('ssh says and ends as it does directly', () => {
  test.each([
    ['a line', 'echo hello'],
    ['both streams', 'echo out; echo err >&2'],
    ['nothing at all', 'true'],
    ['an empty command', ''],
    ['a command that is not there', '/nowhere/at/all'],
    ['quotes, lines and letters of all kinds', `printf '%s\\n' "a b" 'c  d' é ☃ 💥 $'x\\ty'\necho "second line"`],
    ['bytes that are no text', "printf '\\377\\000\\201x'"],
    ['a long command', `echo ${'x'.repeat(100_000)} | wc -c`],
    ['both streams, large, at once', 'head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait; exit 3'],
    ['stderr alone, large', 'head -c 5000000 /dev/zero >&2'],
    ['output after its input has ended', 'cat; sleep 0.2; echo later'],
    ['output from a process that stays behind', '(sleep 0.3; echo late) & echo first'],
  ])('%s', async (_, command) => {
    await both(['host', command])
  })

  test.each([0, 1, 2, 126, 127, 128, 255])('exit status %i', async (code) => {
    expect((await both(['host', `exit ${code}`])).code).toBe(code)
  })

  test.each(['HUP', 'INT', 'KILL', 'TERM', 'PIPE', 'SEGV', 'USR1'])('ended by SIG%s', async (name) => {
    await both(['host', `ulimit -c 0; kill -${name} $$`])
  })

  test('-n, and a shell without a terminal', async () => {
    await both(['-n', 'host', 'cat; echo end'])
    expect(await both(['-T', 'host'], { input: 'echo in a shell\nexit 4\n' })).toMatchObject({
      code: 4,
      stdout: Buffer.from('in a shell\n'),
    })
  })

  test('input of any bytes and size', async () => {
    const input = randomBytes(5_000_000)
    expect((await both(['host', 'cat'], { input })).stdout.equals(input)).toBe(true)
    await both(['host', 'head -c 1000; exit 9'], { input })
  })

  test.each([['yes'], ['-n', 'yes']])('%s, whose reader goes, ends', async (...words) => {
    const [command, ...flags] = [...words].reverse()
    const ends: unknown[] = []
    for (const way of [direct, through]) {
      const child = start(way, 'ssh', [...flags, 'host', command!])
      await once(child.stdout!, 'data')
      child.stdout!.destroy()
      child.stderr!.resume()
      ends.push(await once(child, 'exit'))
    }
    expect(ends[1]).toEqual(ends[0])
  })

  test('a command that closes its output before it ends', async () => {
    for (const way of [direct, through]) {
      const go = join(world.folder, randomUUID())
      const child = start(way, 'ssh', ['host', `exec >&- 2>&-; while ! test -e ${go}; do sleep 0.05; done; exit 7`])
      child.stdout!.resume()
      child.stderr!.resume()
      await once(child.stdout!, 'end')
      writeFileSync(go, '')
      expect((await once(child, 'exit'))[0]).toBe(7)
    }
  })
})

describe('environment', () => {
  const show = 'env | grep -E "^(APP_|LC_FOO|OTHER|COUNTERSIGN)" | sort'
  test('what is usual and what the connection names passes, nothing else does', async () => {
    const way = withLines(through, ['SetEnv LC_FOO=usual APP_ONE="a b" OTHER=no'])
    for (const flag of ['-T', '-tt']) {
      const { stdout } = await run(way, 'ssh', [flag, 'host', show])
      expect(stdout.toString().replaceAll('\r', '')).toBe('APP_ONE=a b\nLC_FOO=usual\n')
    }
  })

  test('what is told the gateway stays with it', async () => {
    const way = withLines(through, ['SetEnv COUNTERSIGN_PURPOSE="a trial" APP_ONE=1'])
    expect((await run(way, 'ssh', ['host', show])).stdout.toString()).toBe('APP_ONE=1\n')
    expect((await world.sessions())[0]).toMatchObject({ purpose: 'a trial' })
  })
})

describe('terminals', () => {
  test('are of the kind, size and modes that were asked for', async () => {
    await both(['-tt', 'host', 'tty | cut -c1-8; stty size; stty -a; echo $TERM'], { environment: { TERM: 'vt220' } })
  })

  test('stderr comes with stdout, what is typed comes back', async () => {
    const [one, other] = await Promise.all(
      [direct, through].map((way) =>
        run(way, 'ssh', ['-tt', 'host', 'read line; echo "got $line" >&2; exit 3'], { input: 'typed\n' }),
      ),
    )
    expect(told(other!)).toEqual(told(one!))
    expect(other!.stdout.toString()).toBe('typed\r\ngot typed\r\n')
  })

  test('^C reaches the command', async () => {
    for (const way of [direct, through]) {
      const input = new PassThrough()
      const child = start(
        way,
        'ssh',
        ['-tt', 'host', 'trap "exit 42" INT; echo ready; for n in $(seq 400); do sleep 0.05; done'],
        {
          input,
        },
      )
      await once(child.stdout!, 'data')
      input.write('\u0003')
      child.stdout!.resume()
      expect((await once(child, 'close'))[0]).toBe(42)
      input.end()
    }
  })
})
