import { create } from 'zustand'
import type { LibraryItem, LibraryState } from '../../library-api.ts'
import { wordsOf } from './api.ts'
import { core, say, useConsole } from './store.ts'

/** The library as the core tells of it; undefined until it has. */
interface Known {
  readonly library: (Omit<LibraryState, 'items'> & { readonly items: ReadonlyMap<string, LibraryItem> }) | undefined
}

const useKnown = create<Known>()(() => ({ library: undefined }))
let following: object | undefined

/** Follows the library of the core that the screens speak to. */
function follow() {
  const { api } = useConsole.getState()
  if (!api || following === api) return
  following = api
  const load = () =>
    void api.call('library', {}).then(
      ({ items, ...rest }) =>
        useKnown.setState({ library: { ...rest, items: new Map(items.map((item) => [item.session, item])) } }),
      () => {},
    )
  api.on((event) => {
    // After a sign-in or a gap of the page everything may be other.
    if (event.type === 'snapshot') load()
    if (event.type !== 'library') return
    useKnown.setState(({ library }) => {
      if (!library) return {}
      const items = new Map(library.items)
      for (const item of event.changed) items.set(item.session, item)
      for (const session of event.removed) items.delete(session)
      return { library: { ...library, ...event.usage, items } }
    })
  })
  load()
}

/** What is kept on this computer. */
export function useLibrary<T>(select: (library: Known['library']) => T): T {
  follow()
  return useKnown((state) => select(state.library))
}

/** Keeps these sessions on this computer, or no longer; what can't be is said. */
export async function keep(sessions: readonly string[], on: boolean): Promise<void> {
  try {
    if (on) await core().call('pin', { sessions: [...sessions] })
    else await core().call('unpin', { sessions: [...sessions] })
    const what = sessions.length === 1 ? 'The session is' : `${sessions.length.toLocaleString('en-US')} sessions are`
    say(on ? `${what} kept on this computer` : `${what} no longer kept on this computer`)
  } catch (error) {
    say(wordsOf(error))
    useTrouble.setState({ text: wordsOf(error) })
  }
}

/** Why the last thing asked of the library was not done. */
export const useTrouble = create<{ text: string }>()(() => ({ text: '' }))

export function isPinned(session: string): boolean {
  return Boolean(useKnown.getState().library?.items.get(session)?.pinnedAt)
}
