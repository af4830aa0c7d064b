import type { Asking } from './asking.ts'
import { Unresolved } from './places.ts'
import { LONGEST_HANDLE } from './requests.ts'
import { FX, FXP } from './wire.ts'

/** Names in a directory that is moved: each is decided, at both ends. */
export const MOST_MEMBERS = 256
const TYPE = 0o170000
const DIRECTORY = 0o040000

/**
 * The names of all that is in a directory, relative to it, links not followed: what moves along with it.
 * @throws Unresolved where that can't be told, or they are too many
 */
export async function membersOf(asking: Asking, directory: string): Promise<string[]> {
  const members: string[] = []
  const left = ['']
  for (let within = left.shift(); within !== undefined; within = left.shift())
    for (const { name, folder } of await namesIn(asking, within === '' ? directory : `${directory}/${within}`)) {
      const member = within === '' ? name : `${within}/${name}`
      if (members.push(member) > MOST_MEMBERS) throw tooMany()
      if (folder) left.push(member)
    }
  return members.sort()
}

async function namesIn(asking: Asking, directory: string): Promise<{ name: string; folder: boolean }[]> {
  const opened = await asking.ask(FXP.OPENDIR, directory)
  if ('refused' in opened) throw new Unresolved('the host does not tell what is in it')
  const handle = opened.fields.bytes()
  if (handle.length > LONGEST_HANDLE) throw new Unresolved('the host’s handles are longer than handles are')
  const names: { name: string; folder: boolean }[] = []
  try {
    for (;;) {
      const listed = await asking.ask(FXP.READDIR, handle)
      if ('refused' in listed) {
        if (listed.refused.code === FX.EOF) return names
        throw new Unresolved('the host does not tell what is in it')
      }
      const { fields } = listed
      for (let count = fields.u32(); count > 0; count--) {
        const bytes = fields.bytes()
        fields.bytes()
        const { mode } = fields.attributes()
        const name = bytes.toString()
        if (name === '.' || name === '..') continue
        if (name.includes('\ufffd') || name.includes('/') || name.includes('\0') || name === '')
          throw new Unresolved('it holds a name that is not valid UTF-8')
        if (mode === undefined) throw new Unresolved('the host does not tell what is a folder')
        if (names.push({ name, folder: (mode & TYPE) === DIRECTORY }) > MOST_MEMBERS) throw tooMany()
      }
    }
  } finally {
    await asking.ask(FXP.CLOSE, handle)
  }
}

const tooMany = () =>
  new Unresolved(
    `more than ${MOST_MEMBERS} files and folders would move along with it; move them in smaller parts, or by a command (mv)`,
  )
