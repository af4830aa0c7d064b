import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, sep } from 'node:path'
import type * as ssh2 from 'ssh2'

const require = createRequire(import.meta.url)

/** What the patches were written for: another release has to be read before it is trusted with them. */
const KNOWN = '1.17.'

/** A module of the copy, by its path below `lib`; what is put into its exports before others ask is what they get. */
export type Part = <T>(path: string) => T

/**
 * Loads ssh2 once more, for us alone, with some of its modules amended before the others ask for them. Whoever imports
 * `ssh2` itself gets the one of the registry, so that tests can show what is wrong with that.
 * @throws Error where another release of ssh2 is installed than the one whose source the patches know
 */
export function privateCopy(amend: (part: Part) => void): typeof ssh2 {
  const root = dirname(require.resolve('ssh2/package.json'))
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  if (!version.startsWith(KNOWN))
    throw new Error(
      `ssh2 ${version} is installed, the patches of gateway/src/ssh/transport are for ${KNOWN}x: read them`,
    )
  const belongs = (file: string) => file.startsWith(root + sep)
  const others = Object.entries(require.cache).filter(([file]) => belongs(file))
  for (const [file] of others) delete require.cache[file]
  try {
    amend((path) => require(join(root, 'lib', path)))
    return require('ssh2')
  } finally {
    for (const file of Object.keys(require.cache).filter(belongs)) delete require.cache[file]
    for (const [file, module] of others) require.cache[file] = module
  }
}

/** For the module whose exports are the class itself. */
export function replaceExports(part: Part, path: string, with_: (of: never) => unknown): void {
  const exported = part(path)
  const file = require.resolve(join('ssh2/lib', path))
  require.cache[file]!.exports = with_(exported as never)
}
