import { create } from 'zustand'
import type { Capabilities } from '../../console-api.ts'
import { type ExportFormat, exportFormats } from '../../library-api.ts'
import { wordsOf } from './api.ts'
import { core, say } from './store.ts'

/** A session on its way into a file. */
export interface Export {
  readonly work: string
  readonly session: string
  readonly name: string
  readonly state: 'running' | 'written' | 'failed'
  /** 0 to 1; undefined while that can't be told. */
  readonly part: number | undefined
  readonly where?: string
  readonly problem?: string
}

export const useExports = create<{ readonly exports: readonly Export[] }>()(() => ({ exports: [] }))

/** The formats that this shell can write. */
export const offeredFormats = ({ pdf }: Pick<Capabilities, 'pdf'>) =>
  exportFormats.filter(({ id }) => pdf || id !== 'pdf')

/** How long one that is over stays in sight (ms). */
const LINGER = 8000
let works = 0

const change = (work: string, what: Partial<Export>) =>
  useExports.setState(({ exports }) => ({
    exports: exports.map((each) => (each.work === work ? { ...each, ...what } : each)),
  }))
export const dismiss = (work: string) =>
  useExports.setState(({ exports }) => ({ exports: exports.filter((each) => each.work !== work) }))

/** Writes a session to a file: the shell asks where, or the browser downloads it. */
export async function startExport(session: string, format: ExportFormat): Promise<void> {
  works += 1
  // Several pages of one console hear the same events: each follows its own.
  const work = `export ${works} ${crypto.getRandomValues(new Uint32Array(1))[0]}`
  const { name } = exportFormats.find(({ id }) => id === format)!
  useExports.setState(({ exports }) => ({
    exports: [...exports, { work, session, name, state: 'running', part: undefined }],
  }))
  const stop = core().on((event) => {
    if (event.type !== 'export' || event.work !== work) return
    if (event.url) fetchFile(event.url)
    change(work, { part: event.total ? Math.min(1, event.done / event.total) : undefined })
  })
  try {
    const { state, where } = await core().call('exportSession', { session, format, work })
    if (state === 'cancelled') dismiss(work)
    else {
      change(work, { state: 'written', ...(where ? { where } : {}) })
      say(`${name} written`)
      setTimeout(() => dismiss(work), LINGER)
    }
  } catch (error) {
    if ((error as { code?: string }).code === 'cancelled') dismiss(work)
    else {
      change(work, { state: 'failed', problem: wordsOf(error) })
      say(`The export failed: ${wordsOf(error)}`)
    }
  } finally {
    stop()
  }
}

export function cancelExport(work: string) {
  void core()
    .call('cancel', { work })
    .catch(() => {})
}

/** Has the browser fetch a file, as a click on a link to it would. */
export function fetchFile(url: string) {
  const link = document.createElement('a')
  link.href = url
  link.download = ''
  document.body.append(link)
  link.click()
  link.remove()
}
