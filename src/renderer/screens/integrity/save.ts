import { core } from '../../app/store.ts'

/** Writes the evidence of an alarm to a file of the person's choice. Answers where; undefined where it was not wanted. */
export async function saveEvidence(id: string): Promise<string | undefined> {
  // Several pages of one console hear the same events: each follows its own.
  const work = `evidence ${crypto.randomUUID()}`
  const stop = core().on((event) => {
    if (event.type === 'export' && event.work === work && event.url) fetchFile(event.url)
  })
  try {
    const { state, where } = await core().call('exportAlarm', { id, work })
    return state === 'written' ? (where ?? '') : undefined
  } finally {
    stop()
  }
}

/** Has the browser fetch a file, as a click on a link to it would. */
function fetchFile(url: string) {
  const link = document.createElement('a')
  link.href = url
  link.download = ''
  document.body.append(link)
  link.click()
  link.remove()
}
