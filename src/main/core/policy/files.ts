import { writeTar } from '@countersign/contract/ledger/tar'
import type { PolicyText } from '@countersign/contract/policies'
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from 'diff'

/** Whether a file is one of the folder's: overlays of reviews are beside it, and nobody writes them by hand. */
export const ofFolder = ({ file }: Pick<PolicyText, 'file'>): boolean => !file.startsWith('overlay:')

/** Whether it is a file's plain name, without a path: whoever takes it into the folder changes nothing beside it. */
export const isFolderFile = (name: string): boolean =>
  /^[^.\s/\\"\p{C}\p{Zl}\p{Zp}][^/\\"\p{C}\p{Zl}\p{Zp}]*$/u.test(name)

/**
 * What turns the folder's files from `before` into `after`, as one unified diff: `git apply` and `patch -p1` take it in
 * the folder itself. Files that are the same are left out.
 */
export function patchOf(before: readonly PolicyText[], after: readonly PolicyText[]): string {
  const was = new Map(before.filter(ofFolder).map(({ file, text }) => [file, text]))
  const is = new Map(after.filter(ofFolder).map(({ file, text }) => [file, text]))
  const names = [...new Set([...was.keys(), ...is.keys()])].sort()
  return names
    .filter((name) => was.get(name) !== is.get(name))
    .map((name) => {
      const from = was.has(name) ? `a/${name}` : '/dev/null'
      const to = is.has(name) ? `b/${name}` : '/dev/null'
      const mode = was.has(name) ? (is.has(name) ? '' : 'deleted file mode 100644\n') : 'new file mode 100644\n'
      const diff = createTwoFilesPatch(from, to, was.get(name) ?? '', is.get(name) ?? '', undefined, undefined, {
        context: 3,
        headerOptions: FILE_HEADERS_ONLY,
      })
      return `diff --git a/${name} b/${name}\n${mode}${diff}`
    })
    .join('')
}

/** Files as they lie in the folder, in one tar (POSIX ustar). */
export async function* tarOf(files: readonly PolicyText[]): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  yield* writeTar(
    files.filter(ofFolder).map(({ file, text }) => {
      const bytes = encoder.encode(text)
      return { name: file, length: bytes.length, bytes }
    }),
  )
}
