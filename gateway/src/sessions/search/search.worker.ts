import { parentPort, workerData } from 'node:worker_threads'
import type { FromSearch, ToSearch } from './finder.ts'
import { createSearch } from './search.ts'

/** Searches in a thread of its own: what takes long holds up nobody's commands. */

const port = parentPort!
const say = (message: FromSearch) => port.postMessage(message)
const search = createSearch((workerData as { folder: string }).folder, { damaged: () => say({ is: 'damaged' }) })

port.on('message', ({ id, ask }: ToSearch) => {
  try {
    say({ is: 'answer', id, value: answerTo(ask) })
  } catch (error) {
    const { name, message } = error as Error
    say({ is: 'refused', id, name, message })
  }
})

function answerTo(ask: ToSearch['ask']): unknown {
  switch (ask.for) {
    case 'commands':
      return search.commands(ask.query)
    case 'sessionsWith':
      return search.sessionsWith(ask.text)
    case 'among':
      return search.among(ask.sessions, ask.text)
  }
}
