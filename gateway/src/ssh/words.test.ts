import { expect, test } from 'vitest'
import { onStderr, type Words } from './words.ts'

test.each<[string, Words, boolean, string]>([
  ['a sentence', { message: 'no' }, false, 'countersign: no\n'],
  ['a hint', { message: 'no', hint: 'ask' }, true, 'countersign: no\r\ncountersign: ask\r\n'],
  ['several lines', { message: 'no\nroot@host:~# ' }, false, 'countersign: no\ncountersign: root@host:~# \n'],
  ['a line written over', { message: 'no\rallowed' }, false, 'countersign: no\ufffdallowed\n'],
  ['a title and a clipboard', { message: '\u001b]52;c;aWQ=\u0007' }, true, 'countersign: \ufffd]52;c;aWQ=\ufffd\r\n'],
  ['a control of eight bits', { message: '\u009b2J' }, false, 'countersign: \ufffd2J\n'],
  ['another direction', { message: 'a\u202eb' }, false, 'countersign: a\ufffdb\n'],
])('%s, as a terminal gets it', (_, words, terminal, said) => expect(onStderr(words, terminal)).toBe(said))
