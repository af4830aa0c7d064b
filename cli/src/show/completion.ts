/** A command in a shell's completion. */
export interface Word {
  /** Its words; none for countersign itself. */
  path: string[]
  commands: { name: string; about: string }[]
  options: {
    flags: string[]
    about: string
    /** What its value may be; empty: anything; absent: it takes none. */
    takes: readonly string[] | undefined
    /** Whether its value is the name of a connection. */
    connection: boolean
  }[]
  /** What its first argument may be. */
  choices: readonly string[]
  /** Whether that is the name of a connection. */
  connection: boolean
  /** Whether a client's command line follows behind --. */
  client: boolean
}

/** The scripts by shell, each out of the same words. Names and descriptions are ours: no text from outside gets in. */
export const shellScripts = { bash, zsh, fish }

const names = 'countersign connection-names 2>/dev/null'
const flagsOf = (word: Word) => word.options.flatMap(({ flags }) => flags)
const pathOf = (word: Word) => word.path.join(' ')
const unique = (all: string[]) => [...new Set(all)]

/** What bash and zsh share: functions that answer out of tables, by the words of a command. */
function tables(words: Word[]): string {
  const withValue = unique(
    words.flatMap((word) => word.options.filter(({ takes }) => takes).flatMap(({ flags }) => flags)),
  )
  const values = words.flatMap((word) => word.options.filter(({ takes }) => takes && takes.length > 0))
  return `
_countersign_below() { # the commands below a command
  case "$1" in
${words
  .filter(({ commands }) => commands.length > 0)
  .map((word) => `    '${pathOf(word)}') echo '${word.commands.map(({ name }) => name).join(' ')}' ;;`)
  .join('\n')}
  esac
}
_countersign_flags() { # its options
  case "$1" in
${words.map((word) => `    '${pathOf(word)}') echo '${flagsOf(word).join(' ')}' ;;`).join('\n')}
  esac
}
_countersign_arguments() { # what its first argument may be
  case "$1" in
${words
  .filter(({ choices }) => choices.length > 0)
  .map((word) => `    '${pathOf(word)}') echo '${word.choices.join(' ')}' ;;`)
  .join('\n')}
    ${words
      .filter(({ connection }) => connection)
      .map((word) => `'${pathOf(word)}'`)
      .join('|')}) ${names} ;;
  esac
}
_countersign_takes_value() {
  case "$1" in ${withValue.join('|')}) return 0 ;; *) return 1 ;; esac
}
_countersign_values() { # of an option
  case "$1" in
${unique(values.map(({ flags, takes }) => `    ${flags.join('|')}) echo '${takes!.join(' ')}' ;;`)).join('\n')}
    --connection) ${names} ;;
  esac
}
_countersign_word() { # where we are: sets REPLY to the command's words and COUNT to the arguments behind them
  REPLY='' COUNT=0
  local word skip=
  for word in "$@"; do
    if [ -n "$skip" ]; then skip=; continue; fi
    case "$word" in
      -*) _countersign_takes_value "$word" && skip=1; continue ;;
    esac
    case " $(_countersign_below "$REPLY") " in
      *" $word "*) REPLY="\${REPLY:+$REPLY }$word" ;;
      *) COUNT=$((COUNT + 1)) ;;
    esac
  done
}
_countersign_candidates() { # of the word that is being typed ($1), behind the one before ($2)
  if _countersign_takes_value "$2"; then _countersign_values "$2"; return; fi
  case "$1" in
    -*) _countersign_flags "$REPLY" ;;
    *) [ "$COUNT" -eq 0 ] && { _countersign_below "$REPLY"; _countersign_arguments "$REPLY"; } ;;
  esac
}`
}

function bash(words: Word[]): string {
  return `# countersign completion bash: source <(countersign completion bash)
${tables(words)}
_countersign() {
  local REPLY COUNT index current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD - 1]}"
  for ((index = 1; index < COMP_CWORD; index++)); do
    if [[ "\${COMP_WORDS[index]}" == -- ]]; then # a client's own command line
      if declare -F _command_offset >/dev/null; then _command_offset $((index + 1)); else COMPREPLY=($(compgen -A command -A file -- "$current")); fi
      return
    fi
  done
  _countersign_word "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
  if _countersign_takes_value "$before" && [[ -z "$(_countersign_values "$before")" ]]; then
    COMPREPLY=($(compgen -A file -- "$current"))
  else
    COMPREPLY=($(compgen -W "$(_countersign_candidates "$current" "$before")" -- "$current"))
  fi
}
complete -o default -F _countersign countersign
`
}

function zsh(words: Word[]): string {
  return `#compdef countersign
# countersign completion zsh: source <(countersign completion zsh)
${tables(words)}
_countersign() {
  emulate -L zsh -o sh_word_split
  local REPLY COUNT current="\${words[CURRENT]}" before="\${words[CURRENT-1]}"
  local index=\${words[(i)--]}
  if (( index < CURRENT )); then # a client's own command line
    shift $index words
    (( CURRENT -= index ))
    _normal
    return
  fi
  _countersign_word "\${(@)words[2,CURRENT-1]}"
  local candidates
  candidates=($(_countersign_candidates "$current" "$before"))
  if (( \${#candidates} )); then compadd -a candidates; else _files; fi
}
if [ "\${funcstack[1]}" = _countersign ]; then _countersign "$@"; else compdef _countersign countersign; fi
`
}

function fish(words: Word[]): string {
  const quoted = (text: string) => `'${text.replace(/[\\']/g, (one) => `\\${one}`)}'`
  const lines = words.flatMap((word) => {
    const here = `__countersign_at ${word.path.join(' ')}`.trim()
    const commands = word.commands.map(
      ({ name, about }) => `complete -c countersign -f -n ${quoted(here)} -a ${name} -d ${quoted(about)}`,
    )
    const options = word.options.map(({ flags, about, takes, connection }) => {
      const [long, short] = flags
      const value = connection
        ? ` -x -a ${quoted(`(${names})`)}`
        : takes
          ? takes.length > 0
            ? ` -x -a ${quoted(takes.join(' '))}`
            : ' -r'
          : ''
      return `complete -c countersign -n ${quoted(here)} -l ${long!.slice(2)}${short ? ` -s ${short.slice(1)}` : ''}${value} -d ${quoted(about)}`
    })
    const first = word.connection ? `(${names})` : word.choices.join(' ')
    return [
      ...commands,
      ...options,
      ...(first ? [`complete -c countersign -f -n ${quoted(here)} -a ${quoted(first)}`] : []),
    ]
  })
  return `# countersign completion fish: countersign completion fish | source
function __countersign_at
    set -l words (string match -v -- '-*' (commandline -opc)[2..])
    test "$words" = "$argv"
end
${lines.join('\n')}
`
}
