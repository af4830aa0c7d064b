/** What a command line is to policy (policy.cedarschema, `Ssh.command`). */
export interface Argv {
  /** Its words, each quoted for a shell where it has to be, joined by one space. */
  argv: string
  /** The first word; empty where there is none. */
  program: string
  /**
   * Whether a shell does more with it than to split and unquote words: operators, expansions, globs, assignments,
   * reserved words, comments, lines, quotes that don't end; and what shells read differently from one another.
   */
  shell: boolean
}

/** What stands for itself in every shell, outside of quotes. */
const plain = /^[A-Za-z0-9_@%+=:,./-]$/
const allPlain = /^[A-Za-z0-9_@%+=:,./-]+$/
/** Words that are none where a command begins (XCU 2.4, and what bash, ksh and zsh add). */
const reserved = new Set(
  '! [[ ]] { } case coproc do done elif else end esac fi for foreach function if in namespace nocorrect noglob repeat select then time until while'.split(
    ' ',
  ),
)
const assignment = /^[A-Za-z_][A-Za-z0-9_]*\+?=/

/**
 * Splits a command line into words, as a POSIX shell does (XCU 2.2 and 2.3,
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html), and says whether that is all that a shell
 * would do with it. Where `shell` is false, every shell runs `program` with exactly these words; where it is true, the
 * words are as they stand there, and what runs is for the shell alone to say.
 */
export function argvOf(text: string): Argv {
  const words: string[] = []
  let word: string | undefined
  let shell = false
  /** Whether any of the word was quoted: then it is no reserved word, and no assignment. */
  let quoted = false
  const add = (piece: string) => {
    word = (word ?? '') + piece
  }
  const end = () => {
    if (word === undefined) return
    if (!quoted && isSpecial(word, words.length === 0)) shell = true
    words.push(word)
    word = undefined
    quoted = false
  }
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!
    if (c === ' ' || c === '\t') end()
    else if (c === "'") {
      const close = text.indexOf("'", at + 1)
      if (close < 0) shell = true
      const inside = text.slice(at + 1, close < 0 ? text.length : close)
      if (isOdd(inside)) shell = true
      quoted = true
      add(inside)
      at = close < 0 ? text.length : close
    } else if (c === '"') {
      quoted = true
      add('')
      at++
      for (; at < text.length && text[at] !== '"'; at++) {
        const d = text[at]!
        if (d === '$' || d === '`' || isOdd(d)) shell = true
        if (d === '\\' && '$`"\\'.includes(text[at + 1] ?? ' ')) add(text[++at]!)
        else if (d === '\\' && text[at + 1] === '\n') shell = true
        else add(d)
      }
      if (at >= text.length) shell = true
    } else if (c === '\\') {
      const next = text[++at]
      if (next === undefined || isOdd(next) || next > '~') shell = true
      quoted = true
      add(next ?? '')
    } else {
      if (!plain.test(c)) shell = true
      add(c)
    }
  }
  end()
  return {
    argv: words.map((each, n) => quote(each, n === 0)).join(' '),
    program: words[0] ?? '',
    shell: shell || words.length === 0,
  }
}

/** Controls, a lone half of a character: quoted or not, shells and hosts make different things of them. */
function isOdd(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\0-\x08\x0a-\x1f\x7f]/.test(text) || !text.isWellFormed()
}

/** Words that mean something else unless they are quoted: most only where a command begins, `=name` anywhere to zsh. */
function isSpecial(word: string, first: boolean): boolean {
  return word.startsWith('=') || (first && (reserved.has(word) || assignment.test(word) || word.startsWith('%')))
}

/** A word as a shell takes it for itself. */
function quote(word: string, first: boolean): string {
  return allPlain.test(word) && !isSpecial(word, first) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
