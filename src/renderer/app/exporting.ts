import type { Campaign } from '@countersign/contract/review'
import { create } from 'zustand'
import type { Capabilities } from '../../console-api.ts'
import { type ExportFormat, exportFormats } from '../../library-api.ts'
import { type CampaignExport, campaignExports } from '../../reviews-api.ts'
import { type TerminalExport, terminalExports } from '../../terminal-api.ts'
import { oneLine } from '../../visible.ts'
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
  /** Ends it; absent of a session’s, which has a call of its own. */
  readonly cancel?: () => void
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
export function startExport(session: string, format: ExportFormat): Promise<void> {
  const { name } = exportFormats.find(({ id }) => id === format)!
  return follow({ name, of: session }, (work) => core().call('exportSession', { session, format, work }))
}

/** The terminal, or the output of a command, that is on the screen: it can be written to a file by itself. */
export interface ShownChannel {
  readonly session: string
  readonly channel: string
  readonly command: string
  readonly terminal: boolean
}

export const useShownChannel = create<{ readonly shown: ShownChannel | undefined }>()(() => ({ shown: undefined }))

/** Writes a channel to a file. */
export function startTerminalExport({ session, channel }: ShownChannel, format: TerminalExport): Promise<void> {
  const { name } = terminalExports.find(({ id }) => id === format)!
  return follow({ name, of: session }, (work) => core().call('exportTerminal', { session, channel, format, work }))
}

/** Writes a campaign’s pack, report or table to a file; `recordings`: a pack with those that it cites. */
export function startCampaignExport(
  { id: campaign, title }: Pick<Campaign, 'id' | 'title'>,
  format: CampaignExport,
  recordings: boolean,
): Promise<void> {
  const { name } = campaignExports.find(({ id }) => id === format)!
  const cancel = (work: string) => core().call('cancelCampaignExport', { work })
  return follow({ name, of: oneLine(title, 60), cancel }, (work) =>
    core().call('exportCampaign', { campaign, format, recordings, work }),
  )
}

async function follow(
  about: { name: string; of: string; cancel?: (work: string) => Promise<unknown> },
  write: (work: string) => Promise<{ state: string; where?: string | undefined }>,
): Promise<void> {
  works += 1
  // Several pages of one console hear the same events: each follows its own.
  const work = `export ${works} ${crypto.getRandomValues(new Uint32Array(1))[0]}`
  const { name, of, cancel } = about
  useExports.setState(({ exports }) => ({
    exports: [
      ...exports,
      {
        ...{ work, session: of, name, state: 'running' as const, part: undefined },
        ...(cancel && { cancel: () => void cancel(work).catch(() => {}) }),
      },
    ],
  }))
  const stop = core().on((event) => {
    if (event.type !== 'export' || event.work !== work) return
    if (event.url) fetchFile(event.url)
    change(work, { part: event.total ? Math.min(1, event.done / event.total) : undefined })
  })
  try {
    const { state, where } = await write(work)
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
  const own = useExports.getState().exports.find((each) => each.work === work)?.cancel
  if (own) return own()
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
