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
/** Words that are none where a command begins (XCU 2.4, and what bash, ksh, zsh, csh and fish add). */
const reserved = new Set(
  '! - @ [[ ]] { } and begin case coproc do done elif else end endif endsw esac fi for foreach function if in namespace nocorrect noglob not or repeat select switch then time until while'.split(
    ' ',
  ),
)
const assignment = /^[A-Za-z_][A-Za-z0-9_]*\+?=/
/** What stands in words by no quotes that all shells agree on: `\` quotes in `'…'` for fish, `!` is csh's history there. */
const differs = /[\\!]/

/**
 * Splits a command line into words, as a POSIX shell does (XCU 2.2 and 2.3,
 * https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html), and says whether that is all that a shell
 * would do with it. Where `shell` is false, shells of POSIX's kind, zsh, csh, tcsh and fish run `program` with exactly
 * these words; where it is true, the words are as they stand there, and what runs is for the shell alone to say. What is
 * no such shell (cmd.exe, PowerShell, a router's) reads the same line as it likes.
 */
export function argvOf(text: string): Argv {
  const words: string[] = []
  let word: string | undefined
  let shell = false
  /** Of a word of which a part was quoted: what stands before that. A reserved word has no such part, an assignment may. */
  let bare: string | undefined
  const add = (piece: string) => {
    word = (word ?? '') + piece
  }
  const end = () => {
    if (word === undefined) return
    if (differs.test(word)) shell = true
    if (bare === undefined ? isSpecial(word, words.length === 0) : startsSpecial(bare, words.length === 0)) shell = true
    words.push(word)
    word = bare = undefined
  }
  for (let at = 0; at < text.length; at++) {
    const c = text[at]!
    if (c === ' ' || c === '\t') end()
    else if (c === "'") {
      const close = text.indexOf("'", at + 1)
      if (close < 0) shell = true
      const inside = text.slice(at + 1, close < 0 ? text.length : close)
      if (isOdd(inside)) shell = true
      bare ??= word ?? ''
      add(inside)
      at = close < 0 ? text.length : close
    } else if (c === '"') {
      bare ??= word ?? ''
      add('')
      at++
      for (; at < text.length && text[at] !== '"'; at++) {
        const d = text[at]!
        if (d === '$' || d === '`' || d === '\\' || isOdd(d)) shell = true
        if (d === '\\' && '$`"\\'.includes(text[at + 1] ?? ' ')) add(text[++at]!)
        else add(d)
      }
      if (at >= text.length) shell = true
    } else if (c === '\\') {
      const next = text[++at]
      // To fish, a letter behind it makes a control.
      if (next === undefined || isOdd(next) || next > '~' || /[A-Za-z0-9]/.test(next)) shell = true
      bare ??= word ?? ''
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
  return startsSpecial(word, first) || (first && reserved.has(word))
}

function startsSpecial(word: string, first: boolean): boolean {
  return word.startsWith('=') || (first && (assignment.test(word) || word.startsWith('%')))
}

/** A word as a shell takes it for itself. */
function quote(word: string, first: boolean): string {
  return allPlain.test(word) && !isSpecial(word, first) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
