import { expect, test } from 'vitest'
import type { TerminalFrame } from '../../../../terminal-api.ts'
import { firstSight } from './opening.ts'

const out = (t: number, text: string): TerminalFrame => ({ type: 'output', t, seq: 0, stream: 'stdout', text })
const typed = (t: number): TerminalFrame => ({ type: 'input', t, seq: 0, text: 'l' })

test.each<[string, TerminalFrame[], number | undefined]>([
  ['nothing was said', [], undefined],
  ['only keys were pressed', [typed(10)], undefined],
  ['a greeting and the prompt after it', [out(300, 'Linux\r\n'), out(600, 'you@web-1:~$ '), out(5000, 'ls')], 600],
  ['somebody types before more is said', [out(300, '$ '), typed(350), out(360, 'l')], 300],
  [
    'a title, colours and a cleared screen show nothing',
    [out(10, '\x1b]0;web-1\x07\x1b[2J\x1b[H\x1b[1;34m\r\n'), out(900, '$ ')],
    900,
  ],
  ['only a title', [out(10, '\x1b]0;web-1\x1b\\')], undefined],
  ['what never rests is shown after a while', Array.from({ length: 50 }, (_, i) => out(i * 500, `${i}\r\n`)), 3000],
])('a terminal opens where it first shows something: %s', (_, frames, sight) => {
  expect(firstSight(frames)).toBe(sight)
})
