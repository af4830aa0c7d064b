import type { Duplex } from 'node:stream'
import { HOME, type Machine, NAME, USER } from './machine.ts'

const MOST = 4096

/**
 * A shell at a terminal: prompt, echo, backspace, Ctrl-U, Ctrl-W, Ctrl-C, Ctrl-D, ↑ and ↓, and `sudo`, which asks for a
 * password without an echo. Resolves with the exit status once the user has left.
 */
export async function atTerminal(machine: Machine, stream: Duplex, signal: AbortSignal): Promise<number> {
  const write = (text: string) => void stream.write(text.replace(/\r?\n/g, '\r\n'))
  let cwd = HOME
  let code = 0
  const past: string[] = []
  const prompt = () =>
    write(
      `\x1b[32m${USER}@${NAME}\x1b[0m:\x1b[34m${cwd.startsWith(HOME) ? `~${cwd.slice(HOME.length)}` : cwd}\x1b[0m$ `,
    )
  const typing = keysOf(stream)

  /** A line as it was typed; undefined at Ctrl-D on an empty one, or where the stream has ended. */
  const line = async (echo: boolean): Promise<string | undefined> => {
    let typed = ''
    let at = past.length
    const show = (text: string) => {
      if (echo) write(`${'\b \b'.repeat(typed.length)}${text}`)
      typed = text
    }
    for (;;) {
      const { value: key, done } = await typing.next()
      if (done) return undefined
      if (key === '\r' || key === '\n') {
        write('\n')
        return typed
      }
      if (key === '\x04') {
        if (typed === '') return undefined
      } else if (key === '\x03') {
        write('^C\n')
        return ''
      } else if (key === '\x7f' || key === '\b') {
        if (typed !== '') show(typed.slice(0, -1))
      } else if (key === '\x15') show('')
      else if (key === '\x17') show(typed.replace(/\S+\s*$/, ''))
      else if (key === '\x1b[A' || key === '\x1b[B') {
        at = Math.min(past.length, Math.max(0, at + (key === '\x1b[A' ? -1 : 1)))
        show(past[at] ?? '')
      } else if (!key.startsWith('\x1b') && key >= ' ' && typed.length < MOST) {
        typed += key
        if (echo) write(key)
      }
    }
  }

  write(
    `Debian GNU/Linux 12 ${NAME}\n\nThis host is made up: nothing here reaches the machine that it runs on.\nLast login: ${new Date().toUTCString()}\n`,
  )
  for (;;) {
    prompt()
    const typed = await line(true)
    if (typed === undefined || signal.aborted) {
      write('logout\n')
      return code
    }
    const text = typed.trim()
    if (text === '') continue
    past.push(text)
    const leaving = /^(?:exit|logout)(?:\s+(\d+))?$/.exec(text)
    if (leaving) {
      write('logout\n')
      return leaving[1] === undefined ? code : Number(leaving[1]) & 255
    }
    if (text === 'clear') {
      write('\x1b[2J\x1b[H')
      continue
    }
    if (/^sudo\b/.test(text)) {
      write(`[sudo] password for ${USER}: `)
      await line(false)
    }
    const ran = await machine.run(text, { cwd, env: {}, stdin: Buffer.alloc(0), signal })
    write(ran.stdout.toString())
    write(ran.stderr.toString())
    cwd = ran.cwd
    code = ran.code
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is how keys come
const keys = /\x1b\[[0-9;]*[A-Za-z~]|\x1b.|[\s\S]/gu

/** Keys out of what a terminal sends: a character, or an escape sequence. */
async function* keysOf(stream: Duplex): AsyncGenerator<string, undefined> {
  for await (const chunk of stream as AsyncIterable<Buffer>)
    for (const [pressed] of chunk.toString('utf8').matchAll(keys)) yield pressed
  return undefined
}
