import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HOST, start } from '../testing/clients.ts'
import { type RunningSshd, startSshd } from '../testing/sshd.ts'
import { Echo, type Typed } from './echo.ts'

/** What is typed stands behind `>`, what is shown behind `<`. */
type Said = `>${string}` | `<${string}`

function told(...said: Said[]): (string | number)[] {
  const echo = new Echo()
  const all: Typed[] = []
  for (const one of said) {
    const bytes = Buffer.from(one.slice(1))
    all.push(...(one[0] === '>' ? echo.typed(bytes) : echo.shown(bytes)))
  }
  all.push(...echo.end())
  return plain(all)
}

/** Kept pieces joined, hidden ones counted. */
function plain(all: Typed[]): (string | number)[] {
  const merged: (string | number)[] = []
  for (const one of all) {
    const value = 'hidden' in one ? one.hidden : one.shown.toString()
    const last = merged.at(-1)
    if (typeof last === typeof value) merged[merged.length - 1] = (last as never) + (value as never)
    else merged.push(value)
  }
  return merged
}

describe('what a terminal shows is told, what it does not is counted', () => {
  const cases: [what: string, said: Said[], told: (string | number)[]][] = [
    ['keys that come back one by one', ['>l', '<l', '>s', '<s', '>\r', '<\r\nfile\r\n'], ['ls\r']],
    ['a line that comes back at once', ['>ls -l\n', '<ls -l\r\n'], ['ls -l\n']],
    ['lines sent ahead', ['>a\nbc\n', '<motd\r\n$ a\r\n', '<$ bc\r\n'], ['a\nbc\n']],
    ['a password', ['<Password: ', '>secret\r', '<\r\nok\r\n'], [7]],
    ['a password, key by key', ['>s', '>e', '>\r', '<\r\nsorry\r\n'], [3]],
    ['between two lines', ['>su\r', '<su\r\nPassword: ', '>pw\r', '<\r\n# ', '>id\r', '<id\r\n'], ['su\r', 3, 'id\r']],
    ['a password and the next line at once', ['>su\rpw\rid\r', '<su\r\nPassword: \r\n# id\r\n'], ['su\r', 3, 'id\r']],
    ['a correction', ['>l', '<l', '>x', '<x', '>\x7f', '<\b \b', '>s', '<s', '>\r', '<\r\n'], ['lx\x7fs\r']],
    ['a password, taken back', ['>secret', '>\x15', '>\r', '<\r\n'], [8]],
    ['a password, taken back word by word', ['>my secret\x17\x17\r', '<\r\n'], [12]],
    ['a password, taken back key by key', ['>pw\x7f\x7f\r', '<\r\n$ '], [5]],
    ['a password, begun anew as a command', ['>pw7', '>\x15', '<\r\ntimed out\r\n$ ', '>ls\r', '<ls\r\n'], [7]],
    ['key by key', ['>pw', '>\x7f', '>\x7f', '<\r\n$ ', '>l', '<l', '>s', '<s', '>\r', '<\r\n'], [7]],
    ['word by word', ['>pw', '>\x17', '<\r\n$ ', '>ls\r', '<ls\r\n'], [6]],
    ['behind what was shown', ['>ls', '<ls', '>pw', '>\x17', '<\b\b  \b\b', '>id\r', '<id\r\n'], [8]],
    ['a line, taken back', ['>lx', '<lx', '>\x15', '<\b\b  \b\b', '>ls\r', '<ls\r\n'], ['lx\x15ls\r']],
    ['a correction before its echo', ['>lx\x7f', '<lx', '<\b \b', '>s', '<s', '>\r', '<\r\n'], ['lx\x7fs\r']],
    ['completed by the shell', ['>cd /ho', '<cd /ho', '>\t', '<me/', '>a', '<a', '>\r', '<\r\n'], ['cd /ho\ta\r']],
    ['arrows', ['>\x1b[A', '<ls', '>\r', '<\r\n'], ['\x1b[A\r']],
    ['an arrow in two packets', ['>\x1b', '>[', '>A', '<ls', '>\r'], ['\x1b[A\r']],
    ['Return at a password’s prompt', ['>\r', '<\r\n'], ['\r']],
    ['^C', ['>sl', '<sl', '>\x03', '<^C\r\n'], ['sl\x03']],
    ['coloured', ['>l', '<\x1b[31ml\x1b[m', '>s', '<\b\x1b[32mls\x1b[m\x1b]0;t\x07', '>\r', '<\r\n'], ['ls\r']],
    ['wrapped by the shell', ['>abc', '<ab \rc', '>\r', '<\r\n'], ['abc\r']],
    ['more than ASCII', ['>grün漢\r', '<grün漢\r\n'], ['grün漢\r']],
    ['what another line showed', ['>pw\r', '<pw\r\n', '>pw\r', '<\r\n'], ['pw\r', 3]],
    ['what was shown before', ['<secret\r\n', '>secret\r', '<\r\n'], [7]],
    ['a PIN, of which a listing has the digits', ['>2026\r', '<\r\n-rw 2026 a\r\n-rw 12026b\r\n'], [5]],
    [
      'a suggestion, taken away',
      ['>l', '<ls -la', '>s', '<\b\b\b\b\b\bls -la', '>\r', '<\x1b[6D\x1b[Jls\r\n'],
      ['ls\r'],
    ],
    ['stars', ['>secret\r', '<******\r\n'], [7]],
    ['keys of a full-screen program', ['>j', '<\x1b[2;1H', '>j', '<\x1b[3;1H'], [2]],
  ]
  it.each(cases)('%s', (_, said, expected) => {
    expect(told(...said)).toEqual(expected)
  })
})

it('tells every byte once, in order, and nothing with a text that was not shown', () => {
  const keys = fc.constantFrom('a', 'b', 'ab', ' ', '\r', '\n', '\x7f', '\x15', '\x17', '\t', '\x1b[A', '\x1b', 'ü')
  const output = fc.constantFrom('a', 'b', 'ab', '\r\n', '\b', '\x1b[31m', '\x1b]0;ab\x07', ' ', 'ü')
  const said = fc.oneof(
    keys.map((text) => `>${text}` as Said),
    output.map((text) => `<${text}` as Said),
  )
  fc.assert(
    fc.property(fc.array(said, { maxLength: 40 }), (all) => {
      const echo = new Echo()
      let typed = Buffer.alloc(0)
      let seen = ''
      let at = 0
      const check = (some: Typed[]) => {
        for (const one of some) {
          if ('hidden' in one) {
            at += one.hidden
            continue
          }
          expect(one.shown).toEqual(typed.subarray(at, at + one.shown.length))
          at += one.shown.length
          // Letters are told only where there were letters.
          const letters = /[ab]/.exec(one.shown.toString())
          if (letters && !one.shown.includes(0x7f) && !one.shown.includes(0x1b)) expect(seen).toMatch(/[ab]/)
        }
      }
      for (const one of all) {
        const bytes = Buffer.from(one.slice(1))
        if (one[0] === '>') {
          typed = Buffer.concat([typed, bytes])
          check(echo.typed(bytes))
        } else {
          seen += one.slice(1)
          check(echo.shown(bytes))
        }
      }
      check(echo.end())
      expect(at).toBe(typed.length)
    }),
    { seed: 5, numRuns: 500 },
  )
})

it('never tells a secret, whatever else is shown meanwhile and however it is typed', () => {
  const noise = fc.array(fc.string({ unit: fc.constantFrom(...'abcdefghijklmnop \r\n\b'), maxLength: 20 }), {
    maxLength: 8,
  })
  fc.assert(
    fc.property(
      noise,
      fc.array(fc.nat(8), { maxLength: 4 }),
      fc.constantFrom('', '\x15', '\x17', '\x7f'),
      (shown, cuts, edit) => {
        const secret = `qZ7#xW9!${edit}\r`
        const places = [0, ...[...new Set(cuts)].filter((cut) => cut > 0).sort((a, b) => a - b), secret.length]
        const said: Said[] = []
        places.slice(1).forEach((to, i) => {
          said.push(`>${secret.slice(places[i], to)}`, `<${shown[i] ?? ''}`)
        })
        expect(told(...said, ...shown.map((text): Said => `<${text}`))).toEqual([secret.length])
      },
    ),
    { seed: 3, numRuns: 500 },
  )
})

it('works in bounds: what waits, what is pasted, what floods', () => {
  const echo = new Echo()
  expect(plain(echo.typed(Buffer.alloc(100_000, 'x')))).toEqual([100_000])
  const lines = Buffer.from('secret\n'.repeat(9000))
  expect(plain([...echo.typed(lines), ...echo.typed(lines)])).toEqual([2 * lines.length])
  echo.typed(Buffer.from('secret\n'))
  expect(plain(echo.shown(Buffer.alloc(1 << 20, 'abcdefgh ')))).toEqual([7])
  expect(echo.waits).toBe(false)
})

describe('a real shell on a real terminal', () => {
  let sshd: RunningSshd
  beforeAll(async () => {
    sshd = await startSshd()
  })
  afterAll(() => sshd.stop())

  /** Types each text once what stands before it has been shown; all at once, or key by key as it comes back. */
  async function typed(shell: string, steps: [shown: string, type: string][], how: 'lines' | 'keys') {
    const echo = new Echo()
    const all: Typed[] = []
    const keyboard = new PassThrough()
    const child = start(sshd.direct, 'ssh', ['-tt', HOST, shell], { input: keyboard })
    let screen = ''
    let heard = () => {}
    child.stdout!.on('data', (chunk: Buffer) => {
      all.push(...echo.shown(chunk))
      screen += chunk.toString()
      heard()
    })
    const until = (text: string) =>
      new Promise<void>((resolve) => {
        heard = () => {
          const found = screen.indexOf(text)
          if (found === -1) return
          screen = screen.slice(found + text.length)
          resolve()
        }
        heard()
      })
    const send = (text: string) => {
      all.push(...echo.typed(Buffer.from(text)))
      keyboard.write(text)
    }
    for (const [shown, text] of steps) {
      await until(shown)
      if (how === 'lines') send(text)
      else
        for (const key of text) {
          send(key)
          if (text.startsWith('echo') && key !== '\r') await until(key)
        }
    }
    await once(child, 'close')
    return plain([...all, ...echo.end()])
  }

  const steps: [string, string][] = [
    ['ready> ', 'echo seen\r'],
    ['ready> ', 'stty -echo; printf "%s" "Secret"": "; read x; stty echo\r'],
    ['Secret: ', 'hunter2\r'],
    ['ready> ', 'echo $x | tr a-z b-za\r'],
    ['ivoufs2', ''],
    ['ready> ', 'exit\r'],
  ]
  const shells = ["PS1='ready> ' TERM=xterm bash --norc -i", "PS1='ready> ' TERM=xterm sh -i"]
  const ways = shells.flatMap((shell) => (['lines', 'keys'] as const).map((how) => [shell, how] as const))
  it.each(ways)('%s, %s', async (shell, how) => {
    const lines = steps.map(([, text]) => text)
    expect(await typed(shell, steps, how)).toEqual([lines[0]! + lines[1]!, 8, lines[3]! + lines[5]!])
  })

  it('what a script is fed before its shell is ready', async () => {
    const script = 'echo one\recho two\rexit\r'
    expect(await typed("PS1='ready> ' TERM=xterm bash --norc -i", [['', script]], 'lines')).toEqual([script])
  })
})
