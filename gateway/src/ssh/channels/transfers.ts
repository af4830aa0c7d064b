import type { Asked } from '../commands.ts'
import type { Words } from '../words.ts'

/** Their output is a protocol: with masks in it, its other end waits for ever for what was announced. */
const TRANSFERS =
  /^(?:\S*\/)?(?:(scp)(?= .*-[ft])|(rsync)(?= --server)|(git[ -](?:upload-pack|upload-archive|receive-pack)))/

/** Why a command can't go on with masks in its output; undefined where it can. */
export function brokenBy({ text }: Asked, classes: readonly string[]): Words | undefined {
  const program = TRANSFERS.exec(text)?.slice(1).find(Boolean)
  if (program === undefined) return undefined
  const what = classes.join(', ')
  return {
    message: `ended: what ${program} sends holds what is masked here (${what}), and a file can’t be masked on its way`,
    hint: `Leave that file out, read it by a command that prints it, or ask for data:reveal of ${what}.`,
  }
}
